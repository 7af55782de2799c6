"""Stage ``baselines``: the cheap models that stand beside the candidate in every table.

In:
    as for ``train``.
Out:
    ``models/baselines/<name>/``: one model folder per baseline, with calibration and threshold
    chosen on validation, as the candidate has them.
Sections:
    ``baselines``, ``calibration``, ``reproducibility``, ``standardise``; ``tracking`` as a side
    channel.
"""

from __future__ import annotations

import logging
import tempfile
from functools import partial
from pathlib import Path

from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.model import BaselinesConfig
from stages.dti.config.reproducibility import ReproducibilityConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.files import write_folder
from stages.dti.models.base import FitContext
from stages.dti.paths import BASELINES, Paths
from stages.dti.runtime.stage import main
from stages.dti.tracking.runs import TrackedRun, training_run
from stages.dti.training.classical import fit_classical
from stages.dti.training.export import finish, load_training_data

logger = logging.getLogger(__name__)


def run(
    paths: Paths,
    *,
    baselines: BaselinesConfig,
    calibration: CalibrationConfig,
    reproducibility: ReproducibilityConfig,
    standardise: StandardiseConfig,
    tracking: TrackingConfig,
) -> None:
    """Fit every baseline and write its folder."""
    data = load_training_data(paths, calibration.conformal_fraction)
    with write_folder(paths.write(BASELINES)) as temporary:
        for number, (name, model) in enumerate(baselines.root.items(), start=1):
            config = model.root
            logger.info("fitting %s, %d of %d", name, number, len(baselines.root))
            with (
                training_run(
                    tracking,
                    "baseline",
                    name,
                    params={
                        "model": config,
                        "calibration": calibration,
                        "reproducibility": reproducibility,
                    },
                    data_hashes=data.data_sha256,
                    tags={"dataset": data.dataset},
                ) as tracked,
                tempfile.TemporaryDirectory() as scratch,
            ):
                context = FitContext(
                    seed=reproducibility.seed,
                    threads=reproducibility.threads,
                    workdir=Path(scratch),
                    on_epoch=partial(_log_epoch, tracked),
                )
                fitted = fit_classical(config, data.train, data.validation, context)
                folder = finish(
                    fitted, config, data, calibration, standardise, reproducibility.seed
                )
                (temporary / name).mkdir()
                folder.save(temporary / name)
                tracked.log_metrics(folder.validation_metrics.plain())
                tracked.set_model(temporary / name)


def _log_epoch(tracked: TrackedRun, metrics: dict[str, float]) -> None:
    tracked.log_epoch(int(metrics["epoch"]), metrics)


if __name__ == "__main__":
    main(run)
