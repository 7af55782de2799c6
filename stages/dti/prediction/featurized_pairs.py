"""Pairs on their way through a ``Predictor``: featurized, scored, compared with train."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.dti.config.features import FeaturesConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.features.store import DrugFeatures, TargetFeatures


@dataclass(frozen=True)
class FeaturizedPairs:
    """Pairs made ready for scoring; models with the same feature parameters can share them.

    Attributes:
        reasons: per pair, why it cannot be scored, or ``None``.
        drug_index, target_index: int64 ``(valid pairs,)``, rows of the tables below.
        smiles, sequences: the unique valid drugs and targets.
    """

    reasons: list[str | None]
    drug_index: NDArray[np.int64]
    target_index: NDArray[np.int64]
    smiles: list[str]
    sequences: list[str]
    drugs: DrugFeatures
    targets: TargetFeatures
    features: FeaturesConfig
    standardise: StandardiseConfig

    @property
    def valid(self) -> NDArray[np.int64]:
        """Positions of the pairs that can be scored, int64 ``(valid pairs,)``."""
        return np.flatnonzero([reason is None for reason in self.reasons])


@dataclass(frozen=True)
class Outputs:
    """What the model says of each valid pair; ``(valid pairs,)`` each.

    Attributes:
        spread: of the members' calibrated probabilities; ``None`` unless the model is an ensemble.
    """

    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    spread: NDArray[np.float64] | None


@dataclass(frozen=True)
class ReferenceFacts:
    """How far each valid pair lies from what the model was trained on; ``(valid pairs,)`` each."""

    drug_similarity: NDArray[np.float32]
    target_similarity: NDArray[np.float32]
    domain_distance: NDArray[np.float64]
    drug_seen: NDArray[np.bool_]
    target_seen: NDArray[np.bool_]
    pair_seen: NDArray[np.bool_]
