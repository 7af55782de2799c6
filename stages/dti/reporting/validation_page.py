"""The readable page of the data checks: ``reports/pages/validation.html``."""

from __future__ import annotations

from typing import Any

from stages.dti.reporting.html import render


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
    return render("validation.html", contents=contents, validation=validation, suites=suites)
