"""Runs the chosen cases, gathers their figures, writes and draws them."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.dti.config.base import build
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.model import ModelConfig
from stages.dti.config.reproducibility import ReproducibilityConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.files import write_folder, write_json, write_text
from stages.dti.paths import Paths
from stages.dti.training.devices import require_devices
from stages.dti.training.export import load_training_data
from tests.benchmarks.cases import TABLES, TIMED
from tests.benchmarks.config import BenchmarkConfig
from tests.benchmarks.figures import save_figures
from tests.benchmarks.inputs import Inputs, approved_drugs, write_untrained_model
from tests.benchmarks.machine import Surroundings, describe_machine, matrix_peak
from tests.benchmarks.measure import measure_case
from tests.benchmarks.tables import parity_markdown
from tests.benchmarks.worker import in_process
from tests.reference.sizes import published_network

DIGITS = 4
"""Significant ones of every measured number: the noise is in the second or third."""

logger = logging.getLogger(__name__)


def run(paths: Paths, folder: Path, plain: Mapping[str, Any]) -> None:
    """Measure the chosen cases of the configuration ``plain`` and write ``folder``.

    Raises:
        ConfigError: the model has no padded form, or this machine lacks the configured device.
        DataError: the pipeline's outputs up to ``featurize`` are not there.
    """
    settings = build(BenchmarkConfig, plain["benchmark"], "benchmark")
    network = published_network(build(ModelConfig, plain["model"], "model").root)
    trainer = build(TrainerConfig, plain["trainer"], "trainer")
    calibration = build(CalibrationConfig, plain["calibration"], "calibration")
    reproducibility = build(ReproducibilityConfig, plain["reproducibility"], "reproducibility")
    standardise = build(StandardiseConfig, plain["standardise"], "standardise")
    require_devices(trainer, network)
    data = load_training_data(paths)
    with tempfile.TemporaryDirectory() as scratch:
        model_folder = Path(scratch)
        write_untrained_model(
            model_folder, network, data, calibration, standardise, reproducibility.seed
        )
        library = approved_drugs(settings.padded_atoms)
        results = measure(
            Inputs(settings, network, trainer, reproducibility, data, model_folder, library)
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with write_folder(folder) as whole:
        write_json(whole / "benchmark.json", results)
        save_figures(results["cases"], whole)
        if "parity" in results["cases"]:
            write_text(whole / "parity.md", parity_markdown(results["cases"]["parity"]))


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
