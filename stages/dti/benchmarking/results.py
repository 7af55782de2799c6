"""Runs the chosen cases and gathers their figures."""

from __future__ import annotations

import logging
import time
from typing import Any

from stages.dti.benchmarking.cases import TABLES, TIMED
from stages.dti.benchmarking.inputs import Inputs
from stages.dti.benchmarking.machine import Surroundings, describe_machine, matrix_peak
from stages.dti.benchmarking.measure import measure_case
from stages.dti.benchmarking.worker import in_process

DIGITS = 4
"""Significant ones of every measured number: the noise is in the second or third."""

logger = logging.getLogger(__name__)


def measure(inputs: Inputs) -> dict[str, Any]:
    """Return machine, peak, surroundings and each case's rows; names of numbers carry units."""
    settings, threads = inputs.settings, inputs.reproducibility.threads
    surroundings = Surroundings()
    peak = in_process(_peak, None, threads)
    started = time.monotonic()
    cases: dict[str, dict[str, Any]] = {}
    for done, name in enumerate(settings.cases):
        logger.info("%s (%d of %d)", name, done + 1, len(settings.cases))
        left = max(0.0, settings.budget_s - (time.monotonic() - started))
        if name in TABLES:
            cases[name] = TABLES[name](inputs)
        else:
            share = left / (len(settings.cases) - done)
            cases[name] = measure_case(TIMED[name](inputs), threads, settings.repeats, share, peak)
    results = {
        "machine": describe_machine(threads),
        "peak": peak,
        "cases": cases,
        "reference": {
            "padded_atoms": settings.padded_atoms,
            "padded_residues": settings.padded_residues,
            "precision": "float32",
        },
        "surroundings": surroundings.report(),
        "dataset": inputs.data.dataset,
    }
    rounded: dict[str, Any] = _rounded(results)
    return rounded


def _peak(_argument: None) -> dict[str, float]:
    return matrix_peak()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
