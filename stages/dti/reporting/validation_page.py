"""The readable page of the data checks: ``reports/validation/index.html``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.dti.reporting.html import render

_TEMPLATES = Path(__file__).resolve().parent / "templates"


def validation_page(validation: dict[str, Any]) -> str:
    """Return the page of ``validation.json`` (``stages/dti/data/validation/quality.py``)."""
    names = dict.fromkeys(check["suite"] for check in validation["checks"])
    suites = [
        (name, [check for check in validation["checks"] if check["suite"] == name])
        for name in names
    ]
    contents = [
        ("summary", "Summary"),
        *((name, name.capitalize()) for name in names),
        ("sources", "Sources"),
        ("score", "How the score is made"),
    ]
    return render(
        _TEMPLATES, "validation.html", contents=contents, validation=validation, suites=suites
    )
