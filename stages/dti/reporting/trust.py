"""The section on uncertainty: what sets cover, whether warnings tell errors, what changes do."""

from __future__ import annotations

from typing import Any

from stages.dti.artifacts.evaluation import Applicability, Robustness
from stages.dti.artifacts.measured import CountedShare, Measure
from stages.dti.artifacts.metrics import ModelMetrics
from stages.dti.evaluation.robustness import BROKEN, FALLS, HOLDS, NO_EFFECT, UNCHANGED
from stages.dti.reporting.charts import Interval, IntervalChart, interval_chart
from stages.dti.reporting.html import interval, words

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

EXPECTED = {
    "none": "Must not matter: the same pair, written otherwise",
    "little": "Should matter little",
    "much": "Should matter much: what else does it go by?",
}
"""Titles of the groups of ``robustness.json``."""

_TONES = {
    ("none", UNCHANGED): "good",
    ("none", BROKEN): "bad",
    ("little", HOLDS): "good",
    ("much", FALLS): "good",
    ("much", NO_EFFECT): "bad",
}


def coverage_rows(models: dict[str, ModelMetrics]) -> list[dict[str, Any]]:
    """One row per model: what its prediction sets cover, as text.

    Args:
        models: name shown → its metrics.
    """
    return [
        {
            "model": name,
            "sets": table.conformal,
            "shares": [
                _text(share)
                for share in (
                    table.conformal.coverage_interacts,
                    table.conformal.coverage_no_interaction,
                    table.conformal.coverage,
                )
            ],
            "calibration_error": _text(table.ece),
        }
        for name, table in models.items()
    ]


def warning_charts(applicability: Applicability) -> list[dict[str, Any]]:
    """One chart per question, with every warning's AUROC; ``missing`` says why one has none."""
    charts = []
    for question, title in QUESTIONS.items():
        rows, missing = [], ""
        for warning, name in WARNINGS.items():
            if warning not in applicability.warnings:
                continue
            entry = applicability.warnings[warning].of(question)
            if entry.value is None:
                missing = words(entry.reason or "")
                continue
            rows.append(Interval(name, entry.value, entry.low, entry.high, reference=CHANCE))
        chart: IntervalChart | None = interval_chart("AUROC", rows, "14rem") if rows else None
        charts.append({"title": title, "chart": chart, "missing": missing})
    return charts


def robustness_groups(robustness: Robustness) -> list[dict[str, Any]]:
    """Changed inputs by how much they should matter: a title, and a row for each change."""
    groups = []
    for expected, title in EXPECTED.items():
        rows = [
            {
                "effect": entry,
                "tone": _TONES.get((expected, entry.verdict), "warn"),
                "auroc_before": _text(entry.auroc_before),
                "auroc": _text(entry.auroc),
                "left_out": ", ".join(
                    f"{pairs} pairs: {reason}"
                    for reasons in (entry.skipped, entry.refused)
                    for reason, pairs in reasons.items()
                ),
            }
            for entry in robustness.perturbations
            if entry.expected == expected
        ]
        if rows:
            groups.append({"title": title, "rows": rows})
    return groups


def _text(entry: Measure | CountedShare) -> str:
    return interval(entry.value, entry.low, entry.high)
