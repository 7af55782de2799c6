"""Renders a template into one HTML file that needs no network: styles and figures inside it.

Pages' templates, and what they share (frame, style, macros), stand in ``templates/``. A value that
a template names and the caller does not give is an error, so that a page never shows an empty place
instead of a number.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stages.dti.errors import DataError
from stages.dti.evaluation.metrics import interval_text

_TEMPLATES = Path(__file__).resolve().parent / "templates"

NOTHING = "–"
"""Shown where a number is undefined."""

_IMAGE_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


def render(template: str, **values: Any) -> str:
    """Return the page that a template makes of ``values``; text is escaped, ``Markup`` is not.

    Raises:
        jinja2.UndefinedError: the template names a value that is not given.
    """
    return _environment().get_template(template).render(**values)


def embedded(path: Path) -> str:
    """Return an image file (.png, .svg) as a data URI.

    Raises:
        DataError: the file has another suffix.
    """
    media_type = _IMAGE_TYPES.get(path.suffix)
    if media_type is None:
        raise DataError(f"{path.name}: not an image that a page embeds; expected .png or .svg")
    return f"data:{media_type};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def number(value: float | None, digits: int | None = None) -> str:
    """Return a number with thin-space groups; whole numbers without decimals unless asked for."""
    if value is None:
        return NOTHING
    if digits is None:
        digits = 0 if float(value).is_integer() else 3
    return f"{value:,.{digits}f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def interval(
    value: float | None, low: float | None, high: float | None, *, signed: bool = False
) -> str:
    """Return ``0.851 (0.810–0.889)``, signed ``+0.012 (−0.020 to +0.044)``; a dash for nothing."""
    if value is None:
        return NOTHING
    form, between = ("+.3f", " to ") if signed else (".3f", "–")
    text = interval_text(value, low, high, between=between, form=form)
    return text.replace("-", "\N{MINUS SIGN}")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a fraction as a percentage; only the fraction 1 itself is shown as 100 %.

    A share of 0.99999 is shown as 99.9 %, not rounded up into a claim that nothing is missing.
    """
    if value is None:
        return NOTHING
    scaled = 100 * value
    limit = 100 - 10**-digits
    if scaled != 100 and limit < scaled < 100:
        scaled = limit
    return f"{scaled:.{digits}f}".rstrip("0").rstrip(".") + "\N{NARROW NO-BREAK SPACE}%"


def words(identifier: str) -> str:
    """Return a name of the code as words: ``gradient_boosting`` → ``gradient boosting``."""
    return identifier.replace("_", " ")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "percent": percent, "words": words}
    environment.globals["style"] = Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))
    return environment
