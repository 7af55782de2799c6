"""What the stages `train` and `baselines` read, and how they are started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages import train
from stages.dti.config.adaptation import AdaptationConfig
from stages.dti.config.base import build
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.model import ModelConfig
from stages.dti.config.reproducibility import ReproducibilityConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.paths import Paths
from tests.support.prepared_tables import (
    DEFAULTS,
    STANDARDISE,
    section,
    write_features,
    write_tables,
)
from tests.support.tracking_section import tracking_at, write_empty_store

COMMON: dict[str, Any] = {
    "calibration": section(CalibrationConfig, "calibration"),
    "reproducibility": section(ReproducibilityConfig, "reproducibility", threads=1),
    "standardise": STANDARDISE,
}


def write_inputs(root: Path) -> None:
    """Write the tables and features that both read, and an empty tracking store."""
    write_tables(root)
    write_features(root)
    write_empty_store(root / "mlflow.db")


def start_train(
    root: Path,
    model: dict[str, Any],
    trainer: dict[str, Any] | None = None,
    adaptation: dict[str, Any] | None = None,
) -> None:
    train.run(
        Paths(root, root),
        model=build(ModelConfig, model, "model"),
        trainer=section(TrainerConfig, "trainer", **trainer or {}),
        adaptation=build(AdaptationConfig, adaptation or DEFAULTS["adaptation"], "adaptation"),
        tracking=tracking(root),
        **COMMON,
    )


def tracking(root: Path) -> TrackingConfig:
    return tracking_at(f"sqlite:///{root}/mlflow.db")
