"""Logistic regression (scikit-learn) on fingerprint bits and scaled descriptors.

A linear model of a pair is a number for its drug plus a number for its target: it can say that a
drug is promiscuous or a target well studied, not that they fit each other. What it scores is what
those two facts alone explain.

Weights are saved as plain arrays: a skops file of the same estimator has other bytes each time
(memory addresses, a date), and two clean runs of the pipeline must agree on every output.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from stages.dti.config.model import LogisticRegressionConfig
from stages.dti.features.store import PairData
from stages.dti.features.targets import target_descriptor_names
from stages.dti.models.base import FitContext, Model

WEIGHTS = "weights.safetensors"

SCALED_LIMIT = 5.0
"""Scaled descriptors are clipped to plus or minus this: one odd drug must not rule a column."""

# Hashed 3-mers are left out: on validation further columns made the linear model worse.
_TARGET_COLUMNS = len(target_descriptor_names(0))


class LogisticRegressionModel(Model):
    """A weight per column and an intercept.

    Attributes:
        weights: float64 ``(drug columns + target columns,)``.
        intercept: float64 ``(1,)``.
    """

    def __init__(self, weights: NDArray[np.float64], intercept: NDArray[np.float64]) -> None:
        self.weights = weights
        self.intercept = intercept

    @classmethod
    def fit(
        cls,
        config: LogisticRegressionConfig,
        train: PairData,
        validation: PairData,
        context: FitContext,
    ) -> Self:
        """Fit by L-BFGS on a sparse matrix: about 4 kB per train pair, three times at its peak."""
        from sklearn.linear_model import LogisticRegression

        drugs, targets = _drug_rows(train), _target_rows(train)
        rows = scipy.sparse.hstack(
            [drugs[train.drug_index], targets[train.target_index]], format="csr"
        )
        estimator = LogisticRegression(
            C=config.inverse_regularisation, max_iter=config.max_iterations
        ).fit(rows, train.labels)
        return cls(estimator.coef_[0].astype(np.float64), estimator.intercept_.astype(np.float64))

    def score(self, pairs: PairData) -> NDArray[np.float64]:
        """Return the probability of class 1, float64 ``(pairs,)``."""
        drugs, targets = _drug_rows(pairs), _target_rows(pairs)
        # A sparse product sums each row by itself, from left to right; a dense one (BLAS) may
        # sum in another order when there are more rows.
        of_drug = drugs @ self.weights[: drugs.shape[1]]
        of_target = targets @ self.weights[drugs.shape[1] :]
        logits = of_drug[pairs.drug_index] + of_target[pairs.target_index]
        return np.asarray(expit(logits + self.intercept))

    def save(self, folder: Path) -> None:
        """Write the weights and the intercept."""
        save_file({"weights": self.weights, "intercept": self.intercept}, folder / WEIGHTS)

    @classmethod
    def load(cls, config: LogisticRegressionConfig, folder: Path) -> Self:
        """Read what ``save`` wrote."""
        return cls(**load_file(folder / WEIGHTS))


def _drug_rows(pairs: PairData) -> scipy.sparse.csr_array:
    """Fingerprint bits and scaled descriptors, float32 ``(drugs, bits + descriptors)``."""
    scaled = pairs.scalers.drug_descriptors.transform(pairs.drugs.descriptors)
    return scipy.sparse.hstack(
        [
            scipy.sparse.csr_array(np.unpackbits(pairs.drugs.fingerprints, axis=1), dtype="f4"),
            scipy.sparse.csr_array(scaled.clip(-SCALED_LIMIT, SCALED_LIMIT)),
        ],
        format="csr",
    )


def _target_rows(pairs: PairData) -> scipy.sparse.csr_array:
    """Scaled descriptors without hashed 3-mers, float32 ``(targets, columns)``."""
    scaled = pairs.scalers.target_descriptors.transform(pairs.targets.descriptors)
    return scipy.sparse.csr_array(scaled[:, :_TARGET_COLUMNS].clip(-SCALED_LIMIT, SCALED_LIMIT))
