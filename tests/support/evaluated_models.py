"""Cheap models on measured kinase pairs, as `train` and `baselines` would leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.dti.config.base import build
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.model import ModelConfig
from stages.dti.models.base import FitContext
from stages.dti.paths import BASELINES, CANDIDATE, Paths
from stages.dti.prediction.folder import ModelFolder
from stages.dti.training.classical import fit_classical
from stages.dti.training.export import finish, load_training_data
from tests.support.prepared_tables import (
    DEFAULTS,
    STANDARDISE,
    section,
    write_features,
    write_tables,
)

EVALUATE = section(EvaluateConfig, "evaluate", bootstrap_samples=100, robustness_pairs=40)
CALIBRATION = section(CalibrationConfig, "calibration")
MODELS: dict[str, dict[str, Any]] = {
    "candidate": DEFAULTS["baselines"]["logistic_regression"],
    "base_rate": DEFAULTS["baselines"]["base_rate"],
    "nearest_neighbour": DEFAULTS["baselines"]["nearest_neighbour"],
}


def fit_model(root: Path, plain: dict[str, Any]) -> ModelFolder:
    """Fit a model on the tables and features below ``root``."""
    data = load_training_data(Paths(inputs=root, outputs=root))
    config = build(ModelConfig, plain, "model").root
    context = FitContext(seed=0, threads=1, workdir=root, on_epoch=lambda _: None)
    model = fit_classical(config, data.train, data.validation, context)
    return finish(model, config, data, CALIBRATION, STANDARDISE, seed=0)


def write_inputs(root: Path) -> None:
    """Write all that the stage reads: tables, features and the models."""
    write_tables(root)
    write_features(root)
    for name, plain in MODELS.items():
        folder = root / (CANDIDATE if name == "candidate" else BASELINES / name)
        folder.mkdir(parents=True)
        fit_model(root, plain).save(folder)
