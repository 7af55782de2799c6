"""The figures that are compared between runs: what DVC prints as metrics, in a table that fits.

One small file per figure, so that ``dvc metrics show`` prints a row for each and all of them share
the columns of value, interval and name. Those that an experiment is judged by have a key of their
own, which is a short column in ``dvc exp show``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.dti.files import write_folder, write_json

FIGURES = ("auroc", "auprc", "gate", "best", "quality")
"""Each is the name of a file. ``best`` is missing where no baseline has a value."""

DIGITS = 3
"""Decimals; two runs that differ by less do not differ."""


def summary(
    metrics: Mapping[str, Any], decision: Mapping[str, Any], validation: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return figure → its value, where there is one its interval, and the name that it is of.

    ``auroc``, ``auprc``: the candidate's, on the test pairs. ``gate``: the verdict on it. ``best``:
    the strongest baseline, by the gate's metric. ``quality``: the data set's score, of 100.

    Args:
        metrics: what ``evaluate`` wrote.
        decision: what ``promote`` wrote.
        validation: what ``validate`` wrote.
    """
    model = metrics["candidate"]["model"]
    strongest = decision["strongest_baseline"]
    figures = {
        name: _measured(name, metrics["candidate"][name], model) for name in ("auroc", "auprc")
    }
    figures["gate"] = {"gate": decision["verdict"], "name": model}
    if strongest is not None:
        figures["best"] = _measured("value", strongest, strongest["name"])
    figures["quality"] = {"value": validation["quality_score"], "name": validation["dataset"]}
    return figures


def write_summary(folder: Path, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``<figure>.json`` for each figure."""
    with write_folder(folder) as temporary:
        for name, figure in figures.items():
            write_json(temporary / f"{name}.json", figure)


def _measured(key: str, entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a metric with its interval; ``None`` where it is undefined."""
    return {
        to: None if entry[source] is None else round(entry[source], DIGITS)
        for to, source in ((key, "value"), ("low", "low"), ("high", "high"))
    } | {"name": name}
