"""The readable page of the data checks: ``reports/pages/validation.html``."""

from __future__ import annotations

from stages.dti.artifacts.validation import Validation
from stages.dti.reporting.html import render


def validation_page(validation: Validation) -> str:
    """Return the page."""
    contents = [
        ("summary", "Summary"),
        *((name, name.capitalize()) for name, _ in validation.suites),
        ("sources", "Sources"),
        ("score", "How the score is made"),
    ]
    return render("validation.html", contents=contents, validation=validation)
