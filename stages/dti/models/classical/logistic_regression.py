"""Logistic regression on fingerprint bits and scaled descriptors.

A linear model of a pair is a number for its drug plus a number for its target: it can say that a
drug is promiscuous or a target well studied, not that they fit each other. What it scores is what
those two facts alone explain.

The loss has one minimum, and Newton's method goes to it as far as float64 can: what is left of the
difference between two processors or numbers of threads, 1e-14, goes when the weights are rounded.
(A method that stops at a tolerance stops elsewhere on another processor.) Weights are saved as
plain arrays: a skops file of an estimator has other bytes each time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from stages.dti.config.model import LogisticRegressionConfig
from stages.dti.errors import ModelError
from stages.dti.features.store import PairData
from stages.dti.features.targets import target_descriptor_names
from stages.dti.models.base import ClassicalModel, FitContext

WEIGHTS = "weights.safetensors"

SCALED_LIMIT = 5.0
"""Scaled descriptors are clipped to plus or minus this: one odd drug must not rule a column."""

_DECIMALS = 7
"""Of a weight: far more than what two processors differ by, far less than what a score shows."""

_LAST_STEP = 1e-10
"""Newton's error is squared at each step, so that after this one it is that of float64."""

_HALVINGS = 30
_NOISE = 1e-12
_ROWS_AT_ONCE = 4096

# Hashed 3-mers are left out: on validation further columns made the linear model worse.
_TARGET_COLUMNS = len(target_descriptor_names(0))


class LogisticRegressionModel(ClassicalModel):
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
        """Fit on ``train`` alone; memory grows with its drugs, 20 kB each, and not with its pairs.

        Raises:
            ModelError: no minimum is found in ``config.max_iterations`` steps.
        """
        from threadpoolctl import threadpool_limits

        # On a busy machine a team of threads waits for its slowest at every small step.
        with threadpool_limits(1, "blas"):
            weights = _minimum(_Loss(train, config.inverse_regularisation), config.max_iterations)
        return cls(weights[:-1], weights[-1:])

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


class _Loss:
    """``C · Σ log-loss + |w|² / 2`` of weights and, last, an intercept that is not penalised.

    A pair's log-loss is multiplied by its weight, if pairs have weights.

    A pair's row is that of its drug beside that of its target. It is never built: sums over pairs
    are sums over drugs and targets, each weighted by its pairs. Only ``hessian`` uses BLAS.
    """

    def __init__(self, pairs: PairData, inverse_regularisation: float) -> None:
        assert pairs.labels is not None
        self._drugs = _drug_rows(pairs).astype(np.float64)
        self._targets = _target_rows(pairs).astype(np.float64)
        self._pairs = pairs
        self._labels = pairs.labels.astype(np.float64)
        self._strength = inverse_regularisation
        self._weights = 1.0 if pairs.weights is None else pairs.weights.astype(np.float64)
        self.size = self._drugs.shape[1] + self._targets.shape[1] + 1

    def value(self, weights: NDArray[np.float64]) -> float:
        """Return the loss."""
        logits = self._logits(weights)
        losses = np.logaddexp(0, np.where(self._labels > 0.5, -logits, logits))
        return float(
            self._strength * (self._weights * losses).sum() + (weights[:-1] ** 2).sum() / 2
        )

    def gradient(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the gradient, ``(columns + 1,)``."""
        surplus = self._strength * self._weights * (expit(self._logits(weights)) - self._labels)
        of_drug, of_target = self._summed(surplus)
        return np.concatenate(
            [
                self._drugs.T @ of_drug + weights[: self._drugs.shape[1]],
                self._targets.T @ of_target + weights[self._drugs.shape[1] : -1],
                [of_drug.sum()],
            ]
        )

    def hessian(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the matrix of second derivatives, ``(columns + 1, columns + 1)``."""
        probability = expit(self._logits(weights))
        curvature = self._strength * self._weights * probability * (1 - probability)
        of_drug, of_target = self._summed(curvature)
        pairs = self._pairs
        of_both = scipy.sparse.csr_array(
            (curvature, (pairs.drug_index, pairs.target_index)),
            shape=(len(of_drug), len(of_target)),
        )
        first, last = self._drugs.shape[1], self.size - 1
        found = np.zeros((self.size, self.size))
        found[:first, :first] = _weighted_squares(self._drugs, of_drug)
        found[first:last, first:last] = _weighted_squares(self._targets, of_target)
        found[:first, first:last] = (self._drugs.T @ (of_both @ self._targets)).toarray()
        found[:first, last] = self._drugs.T @ of_drug
        found[first:last, last] = self._targets.T @ of_target
        found[last, last] = curvature.sum()
        found[np.arange(last), np.arange(last)] += 1
        found[last, :last] = found[:last, last]
        found[first:last, :first] = found[:first, first:last].T
        return found

    def _logits(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        of_drug = self._drugs @ weights[: self._drugs.shape[1]]
        of_target = self._targets @ weights[self._drugs.shape[1] : -1]
        pairs = self._pairs
        return np.asarray(
            of_drug[pairs.drug_index] + of_target[pairs.target_index] + weights[-1], np.float64
        )

    def _summed(
        self, of_pair: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the sums over each drug's pairs and over each target's."""
        pairs = self._pairs
        return (
            np.bincount(pairs.drug_index, of_pair, self._drugs.shape[0]).astype(np.float64),
            np.bincount(pairs.target_index, of_pair, self._targets.shape[0]).astype(np.float64),
        )


def _minimum(loss: _Loss, max_iterations: int) -> NDArray[np.float64]:
    """Return the weights and the intercept at the minimum, by damped Newton steps, rounded."""
    weights: NDArray[np.float64] = np.zeros(loss.size)
    value = loss.value(weights)
    for _ in range(max_iterations):
        step = scipy.linalg.solve(
            loss.hessian(weights), loss.gradient(weights), assume_a="pos", overwrite_a=True
        )
        for _ in range(_HALVINGS):
            proposed = weights - step
            value_there = loss.value(proposed)
            if value_there <= value + _NOISE * value:
                break
            step = step / 2
        weights, value = proposed, value_there
        if np.abs(step).max() < _LAST_STEP:
            return np.asarray(np.round(weights, _DECIMALS) + 0.0)  # no zero has a sign
    raise ModelError(
        f"logistic regression is not at its minimum after {max_iterations} steps; raise "
        "max_iterations of logistic_regression, or lower its inverse_regularisation"
    )


def _weighted_squares(
    rows: scipy.sparse.csr_array, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``Σ weight · row · rowᵀ``, dense, ``(columns, columns)``."""
    found = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, rows.shape[0], _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE].toarray()
        found += block.T @ (weights[start : start + _ROWS_AT_ONCE, None] * block)
    return found


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
