"""The figures that are compared between runs: what DVC prints as metrics, in a table that fits.

One small file per figure, so that ``dvc metrics show`` prints a row for each and all of them share
the columns of value, interval and name. Those that an experiment is judged by have a key of their
own, which is a short column in ``dvc exp show``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stages.dti.artifacts.decision import Decision
from stages.dti.artifacts.measured import Measure
from stages.dti.artifacts.metrics import Metrics
from stages.dti.artifacts.validation import Validation
from stages.dti.files import write_folder, write_json

FIGURES = ("auroc", "auprc", "gate", "best", "quality")
"""Each is the name of a file. ``best`` is missing where no baseline has a value."""

DIGITS = 3
"""Decimals; two runs that differ by less do not differ."""


def summary(
    metrics: Metrics, decision: Decision, validation: Validation
) -> dict[str, dict[str, float | str | None]]:
    """Return figure → its value, where there is one its interval, and the name that it is of.

    ``auroc``, ``auprc``: the candidate's, on the test pairs. ``gate``: the verdict on it. ``best``:
    the strongest baseline, by the gate's metric. ``quality``: the data set's score, of 100.
    """
    candidate, strongest = metrics.candidate, decision.strongest_baseline
    model = candidate.model
    figures: dict[str, dict[str, float | str | None]] = {
        "auroc": _measured("auroc", candidate.auroc, model),
        "auprc": _measured("auprc", candidate.auprc, model),
        "gate": {"gate": decision.verdict, "name": model},
        "quality": {"value": validation.quality_score, "name": validation.dataset},
    }
    if strongest is not None:
        figures["best"] = _measured("value", strongest, strongest.name)
    return figures


def write_summary(folder: Path, figures: Mapping[str, Mapping[str, float | str | None]]) -> None:
    """Write ``<figure>.json`` for each figure."""
    with write_folder(folder) as temporary:
        for name, figure in figures.items():
            write_json(temporary / f"{name}.json", figure)


def _measured(key: str, measure: Measure, name: str) -> dict[str, float | str | None]:
    """Return a metric with its interval; ``None`` where it is undefined."""
    values = {key: measure.value, "low": measure.low, "high": measure.high}
    rounded = {to: None if value is None else round(value, DIGITS) for to, value in values.items()}
    return {**rounded, "name": name}
