"""The one check of the whole configuration.

Compose calls it before it writes params.yaml, and every stage as its first act, so that a stage
does not run for hours before another refuses what stood in params.yaml all along. A stage builds
the sections that it reads by itself, from the classes in its signature: what is imported here can
refuse a run, but never change its result. So it is no code dependency of any stage
(``tests/structure/code_deps.py``), or an edit of any section's class would retrain every model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from unicodedata import category

from pydantic import ValidationError

from stages.dti.config.base import describe, invalid, shown
from stages.dti.config.rules import broken_rules
from stages.dti.config.sections import Configuration


def check(config: Mapping[str, Any]) -> None:
    """Check a whole composed configuration; it is not changed.

    Raises:
        ConfigError: an unknown or missing section, an unknown key, a wrong type, a value out of
            range, text that cannot be written, or sections that contradict each other; the message
            has a line for each.
    """
    if problems := list(_unwritable(config)):
        raise invalid(problems)
    try:
        typed = Configuration.model_validate(config)
    except ValidationError as error:
        problems = describe(error, Configuration, "")
        if any(
            problem["type"] == "missing" and len(problem["loc"]) == 1 for problem in error.errors()
        ):
            problems.append("sections are missing; run `make params` to compose them anew")
        raise invalid(problems) from None
    if problems := list(broken_rules(typed)):
        raise invalid(problems)


def _unwritable(value: Any, key: str = "") -> Iterator[str]:
    """Yield where a text holds what no file or log should: half a character, or a control code."""
    match value:
        case Mapping():
            for name, part in value.items():
                yield from _unwritable(str(name), key or "a section's name")
                yield from _unwritable(part, f"{key}.{name!a}".replace("'", "").lstrip("."))
        case list():
            for number, part in enumerate(value):
                yield from _unwritable(part, f"{key}.{number}")
        case str() if any(category(letter) in ("Cc", "Cs") for letter in value):
            yield f"{key}: holds a control character or broken Unicode, got {shown(value)}"
