"""The section on uncertainty: what prediction sets cover, and whether warnings tell errors."""

from __future__ import annotations

from typing import Any

from stages.dti.html.charts import Interval, IntervalChart, interval_chart, interval_text
from stages.dti.html.page import words
from stages.dti.reporting.documents import Document

CHANCE = 0.5

WARNINGS = {
    "domain_distance": "distance from train",
    "spread": "spread of the members",
    "ambiguity": "probability near the threshold",
}
"""What the warnings of ``applicability.json`` are called."""

QUESTIONS = {
    "wrong": "Wrong answers",
    "drug_unseen": "Drugs that train does not hold",
    "target_unseen": "Targets that train does not hold",
    "scaffold_unseen": "Scaffolds that train does not hold",
}
"""Titles of the questions, likewise."""


def coverage_rows(models: dict[str, Document]) -> list[dict[str, Any]]:
    """One row per model: what its prediction sets cover, as text.

    Args:
        models: name shown → its table of ``metrics.json``.
    """
    return [
        {
            "model": name,
            "target": table["conformal"]["target"],
            "shares": [
                _text(table["conformal"][group])
                for group in ("coverage_interacts", "coverage_no_interaction", "coverage")
            ],
            "mean_size": table["conformal"]["mean_size"],
            "both": table["conformal"]["both_fraction"],
            "empty": table["conformal"]["empty_fraction"],
            "calibration_error": _text(table["ece"]),
            "verdict": table["conformal"]["verdict"],
        }
        for name, table in models.items()
    ]


def warning_charts(applicability: Document) -> list[dict[str, Any]]:
    """One chart per question, with every warning's AUROC; ``missing`` says why one has none."""
    charts = []
    for question, title in QUESTIONS.items():
        rows, missing = [], ""
        for warning, name in WARNINGS.items():
            if warning not in applicability["warnings"]:
                continue
            entry = applicability["warnings"][warning][question]
            if entry["value"] is None:
                missing = words(entry["reason"])
                continue
            rows.append(
                Interval(name, entry["value"], entry["low"], entry["high"], reference=CHANCE)
            )
        chart: IntervalChart | None = interval_chart("AUROC", rows, "14rem") if rows else None
        charts.append({"title": title, "chart": chart, "missing": missing})
    return charts


def _text(entry: Document) -> str:
    return interval_text(entry["value"], entry["low"], entry["high"])
