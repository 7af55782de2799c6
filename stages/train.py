"""Stage ``train``: the candidate model.

In:
    ``data/interim/{interactions,targets}.parquet``, ``data/processed/splits.parquet``,
    ``data/processed/features/``.
Out:
    ``models/candidate/``: the model folder (``stages/dti/model_folder.py``), with calibration and
    threshold chosen on validation.
    ``reports/training_metrics.json``: model, epochs, best epoch, its validation metrics.
    ``reports/plots/training/{loss,auroc,learning_rate,gradient_norm}.csv``: learning curves, one
    row per epoch (boosting: per round); a model that is not fitted step by step has no rows.
Sections:
    ``model``, ``trainer``, ``train``, ``standardise``; ``tracking`` as a side channel.

The test part of the split is not read here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from stages.dti.atomic import write_folder, write_json
from stages.dti.config.model import ModelConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.config.trainer import TrainConfig, TrainerConfig
from stages.dti.lifecycle.tracking import training_run
from stages.dti.models.base import FitContext
from stages.dti.paths import (
    CANDIDATE,
    TRAINING_CURVES,
    TRAINING_METRICS,
    VALIDATION,
    VALIDATION_METRICS,
    Paths,
)
from stages.dti.stage import main
from stages.dti.training.curves import LearningCurves
from stages.dti.training.export import finish, load_training_data
from stages.dti.training.fit import fit


def run(
    paths: Paths,
    *,
    model: ModelConfig,
    trainer: TrainerConfig,
    train: TrainConfig,
    standardise: StandardiseConfig,
    tracking: TrackingConfig,
) -> None:
    """Train, calibrate and write the candidate."""
    config = model.root
    data = load_training_data(paths)
    curves = LearningCurves(monitor=trainer.monitor)
    with training_run(
        tracking,
        "training",
        config.name,
        params={"model": config, "trainer": trainer, "train": train, "standardise": standardise},
        data_hashes=data.data_sha256,
        tags={"dataset": data.dataset},
    ) as tracked:

        def on_epoch(metrics: dict[str, float]) -> None:
            curves.add(metrics)
            tracked.log_epoch(int(metrics["epoch"]), metrics)

        with tempfile.TemporaryDirectory() as scratch:
            context = FitContext(
                seed=train.seed, threads=train.threads, workdir=Path(scratch), on_epoch=on_epoch
            )
            fitted = fit(config, trainer, data.train, data.validation, context)
        folder = finish(fitted, config, data, train, standardise)
        with write_folder(paths.write(CANDIDATE)) as temporary:
            folder.save(temporary)
        summary = {"model": config.name, **curves.summary(), **folder.validation_metrics}
        write_json(paths.write(TRAINING_METRICS), summary)
        curves.save(paths.write(TRAINING_CURVES))
        tracked.log_metrics(summary)
        tracked.log_artifact(paths.read(VALIDATION_METRICS))
        tracked.log_artifact(paths.read(VALIDATION) / "validation.json")
        tracked.set_model(paths.write(CANDIDATE))


if __name__ == "__main__":
    main(run)
