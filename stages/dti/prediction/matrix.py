"""All drugs against all targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.dti.features.store import DrugFeatures, TargetFeatures
from stages.dti.models.base import Precision
from stages.dti.prediction.folder import ModelFolder
from stages.dti.prediction.inputs import PreparedInputs


@dataclass(frozen=True)
class ScoreMatrix:
    """Every pair of some drugs and some targets.

    Attributes:
        scores: float32 ``(drugs, targets)``, 0 to 1; NaN where the drug or the target is invalid.
        probabilities: the calibrated scores, likewise.
        drug_reasons, target_reasons: per drug and per target, why it is invalid, or ``None``.
    """

    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    drug_reasons: list[str | None]
    target_reasons: list[str | None]


def model_scores(
    content: ModelFolder,
    drugs: PreparedInputs[DrugFeatures],
    targets: PreparedInputs[TargetFeatures],
    precision: Precision,
) -> NDArray[np.float32]:
    """Return the scores of the different valid drugs and targets, float32 ``(drugs, targets)``."""
    return content.model.matrix(drugs.features, targets.features, content.scalers, precision)


def score_matrix(
    content: ModelFolder,
    drugs: PreparedInputs[DrugFeatures],
    targets: PreparedInputs[TargetFeatures],
    precision: Precision,
) -> ScoreMatrix:
    """Score every input drug against every input target; equal ones are computed once."""
    unique = model_scores(content, drugs, targets, precision)
    probabilities = content.calibration.apply(unique).astype(np.float32)
    valid = np.ix_(drugs.rows >= 0, targets.rows >= 0)
    rows = np.ix_(drugs.rows[drugs.rows >= 0], targets.rows[targets.rows >= 0])

    def spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = np.full((len(drugs.rows), len(targets.rows)), np.nan, dtype=np.float32)
        whole[valid] = values[rows]
        return whole

    return ScoreMatrix(spread(unique), spread(probabilities), drugs.reasons, targets.reasons)
