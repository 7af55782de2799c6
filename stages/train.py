"""Stage ``train``: the candidate model.

In:
    ``data/interim/{interactions,targets}.parquet``, ``data/processed/splits.parquet``,
    ``data/processed/features/``.
Out:
    ``models/candidate/``: the model folder (``prediction/folder.py``), with calibration and
    threshold chosen on validation.
    ``reports/training_metrics.json``: model, epochs, best epoch (counted from 0), its validation
    metrics; of an ensemble, in the place of epochs and best epoch, ``members``: those of every fit;
    with domain adaptation, ``adaptation``: the pairs adapted to, and the domain discriminator's
    loss and accuracy in the last epoch.
    ``reports/plots/training/{loss,auroc,learning_rate,gradient_norm,domain}.csv``: learning curves,
    one row per fit, epoch (boosting: every tenth round) and metric; a model that is not fitted step
    by step has no rows.
Sections:
    ``model``, ``trainer``, ``calibration``, ``reproducibility``, ``adaptation``, ``standardise``;
    ``tracking`` as a side channel.

The test part of the split is not read here, nor are the labels of part ``adapt``. A killed run
leaves its last epoch's state below ``data/cache/train/``, from which the same run, and no other,
resumes.
"""

from __future__ import annotations

import logging
import tempfile
from functools import partial
from pathlib import Path

from stages.dti.artifacts.training import Training
from stages.dti.config.adaptation import AdaptationConfig
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.model import ModelConfig
from stages.dti.config.reproducibility import ReproducibilityConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.files import remove_folder, write_folder
from stages.dti.models.base import FitContext
from stages.dti.paths import (
    CANDIDATE,
    TRAINING_CURVES,
    TRAINING_METRICS,
    Paths,
)
from stages.dti.runtime.stage import main
from stages.dti.tracking.runs import TrackedRun, training_run
from stages.dti.training.checkpoint import checkpoint_folder
from stages.dti.training.devices import require_devices
from stages.dti.training.domain import domain_adaptation
from stages.dti.training.export import finish, load_training_data
from stages.dti.training.train import train_model

logger = logging.getLogger(__name__)


def run(
    paths: Paths,
    *,
    model: ModelConfig,
    trainer: TrainerConfig,
    calibration: CalibrationConfig,
    reproducibility: ReproducibilityConfig,
    adaptation: AdaptationConfig,
    standardise: StandardiseConfig,
    tracking: TrackingConfig,
) -> None:
    """Train, calibrate and write the candidate."""
    config = model.root
    require_devices(trainer, config)  # before the data are read
    sections = {
        "model": config,
        "trainer": trainer,
        "calibration": calibration,
        "reproducibility": reproducibility,
        "adaptation": adaptation,
        "standardise": standardise,
    }
    data = load_training_data(paths, calibration.conformal_fraction)
    domain = domain_adaptation(adaptation, data.unlabelled)
    checkpoint = checkpoint_folder(paths, data.data_sha256, sections)
    with (
        training_run(
            tracking,
            "training",
            config.name,
            params=sections,
            data_hashes=data.data_sha256,
            tags={"dataset": data.dataset},
        ) as tracked,
        tempfile.TemporaryDirectory() as scratch,
    ):
        context = FitContext(
            seed=reproducibility.seed,
            threads=reproducibility.threads,
            workdir=Path(scratch),
            on_epoch=partial(_log_epoch, tracked, ""),
            checkpoint=checkpoint,
            on_fit=lambda member, number: partial(
                _log_epoch, tracked, f"members.{member}.{number}."
            ),
        )
        trained = train_model(config, trainer, data.train, data.validation, context, domain)
        folder = finish(trained.model, config, data, calibration, standardise, reproducibility.seed)
        with write_folder(paths.write(CANDIDATE)) as temporary:
            folder.save(temporary)
        validated = folder.validation_metrics
        summary = Training(model=config.name, **validated.given(), **trained.curves.summary())
        if domain is not None:
            adapted = trained.curves.own.adaptation(len(domain.pairs))
            summary = summary.model_copy(update={"adaptation": adapted})
        summary.write(paths.write(TRAINING_METRICS))
        logger.info(
            "%s: validation AUROC %s on %d pairs",
            config.name,
            validated.val_auroc,
            validated.val_pairs,
        )
        trained.curves.save(paths.write(TRAINING_CURVES))
        tracked.log_metrics(summary.plain())
        tracked.set_model(paths.write(CANDIDATE))
    remove_folder(checkpoint)


def _log_epoch(tracked: TrackedRun, prefix: str, metrics: dict[str, float]) -> None:
    """Log an epoch's metrics in MLflow, under names that begin with ``prefix``."""
    named = {f"{prefix}{name}": value for name, value in metrics.items()}
    tracked.log_epoch(int(metrics["epoch"]), named)


if __name__ == "__main__":
    main(run)
