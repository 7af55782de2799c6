"""Gradient-boosted trees (LightGBM) on fingerprint bits, drug and sequence descriptors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import lightgbm
import numpy as np
from lightgbm.callback import CallbackEnv
from numpy.typing import NDArray

from stages.dti.config.model import GradientBoostingConfig
from stages.dti.features.store import PairData
from stages.dti.models.base import ClassicalModel, FitContext, OnEpoch
from stages.dti.models.classical.pair_matrix import PairMatrix
from stages.dti.runtime.progress import ProgressLog

WEIGHTS = "model.txt"

REPORT_EVERY_TREES = 10
"""A point of the learning curve is reported after so many trees."""

HISTOGRAMS_MB = 1024
"""Far above what the usual numbers of leaves and bins take, so that it changes nothing there."""

_ROWS_AT_ONCE = 4096
_ROWS_TO_CHOOSE_BINS = 20_000


class GradientBoosting(ClassicalModel):
    """A LightGBM model, held as the text that is saved: fitted and loaded models score alike."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._booster = lightgbm.Booster(model_str=text)

    @classmethod
    def fit(
        cls,
        config: GradientBoostingConfig,
        train: PairData,
        validation: PairData,
        context: FitContext,
    ) -> Self:
        """Grow trees until the AUROC on ``validation`` stops rising; keep those up to its best."""
        parameters = _parameters(config, context)
        matrix = PairMatrix(train)
        train_set = lightgbm.Dataset(
            _Rows(matrix),
            label=train.labels,
            weight=train.weights,
            params=parameters,
            feature_name=matrix.names(),
            free_raw_data=True,
        )
        validation_set = lightgbm.Dataset(
            _Rows(PairMatrix(validation)),
            label=validation.labels,
            reference=train_set,
            params=parameters,
        )
        booster = lightgbm.train(
            parameters,
            train_set,
            num_boost_round=config.trees,
            valid_sets=[train_set, validation_set],
            valid_names=["train", "val"],
            callbacks=[
                lightgbm.early_stopping(
                    config.early_stopping_rounds, first_metric_only=True, verbose=False
                ),
                _reporter(context.on_epoch, config.trees),
            ],
        )
        return cls(booster.model_to_string(num_iteration=booster.best_iteration))

    def score(self, pairs: PairData) -> NDArray[np.float64]:
        """Return the probability of class 1, float64 ``(pairs,)``."""
        matrix = PairMatrix(pairs)
        scores = np.empty(len(pairs))
        # A team of threads costs a small request more than it gains, most on a busy machine.
        threads = 1 if len(pairs) < _ROWS_AT_ONCE else 0
        for start in range(0, len(pairs), _ROWS_AT_ONCE):
            stop = min(start + _ROWS_AT_ONCE, len(pairs))
            scores[start:stop] = self._booster.predict(
                matrix.rows(start, stop), num_threads=threads
            )
        return scores

    def save(self, folder: Path) -> None:
        """Write the trees as LightGBM's text."""
        (folder / WEIGHTS).write_text(self._text, encoding="utf-8")

    @classmethod
    def load(cls, config: GradientBoostingConfig, folder: Path) -> Self:
        """Read what ``save`` wrote."""
        return cls((folder / WEIGHTS).read_text(encoding="utf-8"))


class _Rows(lightgbm.Sequence):  # type: ignore[misc]
    """Hands LightGBM the rows in batches: only its 1-byte bins are ever held for all pairs."""

    batch_size = _ROWS_AT_ONCE

    def __init__(self, matrix: PairMatrix) -> None:
        self._matrix = matrix

    def __len__(self) -> int:
        return len(self._matrix)

    def __getitem__(self, index: int | slice) -> NDArray[np.float64]:
        if isinstance(index, slice):
            return self._matrix.rows(index.start, index.stop).astype(np.float64)
        return self._matrix.rows(index, index + 1).astype(np.float64).ravel()


def _parameters(config: GradientBoostingConfig, context: FitContext) -> dict[str, Any]:
    return {
        "objective": "binary",
        "metric": ["auc", "binary_logloss"],
        "learning_rate": config.learning_rate,
        "num_leaves": config.leaves,
        "min_data_in_leaf": config.min_leaf_rows,
        "bagging_fraction": config.row_fraction,
        "bagging_freq": 1,
        "feature_fraction": config.feature_fraction,
        "max_bin": config.bins,
        "bin_construct_sample_cnt": _ROWS_TO_CHOOSE_BINS,
        # Else memory grows with leaves × bins until the system ends the process.
        "histogram_pool_size": HISTOGRAMS_MB,
        "seed": context.seed,
        "num_threads": context.threads,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def _reporter(on_epoch: OnEpoch, trees: int) -> Callable[[CallbackEnv], None]:
    names = {
        ("train", "binary_logloss"): "train_loss",
        ("val", "binary_logloss"): "val_loss",
        ("val", "auc"): "val_auroc",
    }

    told = ProgressLog("trees grown", trees)

    def report(progress: CallbackEnv) -> None:
        if (progress.iteration + 1) % REPORT_EVERY_TREES == 0:
            metrics = {
                names[part, metric]: float(value)
                for part, metric, value, *_ in progress.evaluation_result_list
                if (part, metric) in names
            }
            on_epoch({"epoch": float(progress.iteration), **metrics})
            told.advance(REPORT_EVERY_TREES)

    return report
