"""The applicability domain: how near a pair must lie to train for its prediction to be trusted.

Similarity to the nearest train compound is the plainest measure of a model's domain: predictions
grow worse as it falls (Sheridan et al. 2004). Its limit comes from the distances within train
(Tropsha, Gramatica and Gombar 2003). A pair has two sides, so it is as far as the farther of them,
each in units of its own limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.dti.chemistry.fingerprints import tanimoto
from stages.dti.chemistry.kmers import SequenceReference

OUTSIDE_FRACTION = 0.05
"""The share of train's own drugs (targets) that may lie outside the limit, were they new."""

SAMPLED = 2000
"""Drugs (targets) of train that the limit is found from; more would take quadratically long."""

MAX_LIMIT = 0.95
"""Largest similarity that may be asked for: else a train set of near copies would exclude all."""

_DRUGS_AT_ONCE = 256


@dataclass(frozen=True)
class ApplicabilityDomain:
    """The least similarity to train, per side, at which a pair is inside.

    Attributes:
        drug_limit: Tanimoto similarity to the nearest drug of train, in [0, 0.95].
        target_limit: sequence similarity to the nearest target of train, in [0, 0.95].
    """

    drug_limit: float
    target_limit: float

    @classmethod
    def fit(cls, fingerprints: NDArray[np.uint8], sequences: Sequence[str]) -> ApplicabilityDomain:
        """Find the limits from the drugs and targets of train, each left out in its turn.

        The limit is the 5th percentile of a drug's (target's) similarity to the nearest other one.

        Args:
            fingerprints: uint8 ``(drugs, bytes)``, packed bits.
            sequences: of the targets.
        """
        return cls(
            drug_limit=_limit(_nearest_other_drug(fingerprints)),
            target_limit=_limit(_nearest_other_target(sequences)),
        )

    def distance(
        self, drug_similarity: NDArray[np.float32], target_similarity: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Return how far each pair lies from train, float64 ``(pairs,)``; inside is at most 1.

        ``max((1 - drug_similarity) / (1 - drug_limit), (1 - target_similarity) / (1 -
        target_limit))``: 0 where drug and target both stand in train, 1 at the limit.

        Args:
            drug_similarity, target_similarity: ``(pairs,)``, to the nearest in train.
        """
        drug = (1 - drug_similarity.astype(np.float64)) / (1 - self.drug_limit)
        target = (1 - target_similarity.astype(np.float64)) / (1 - self.target_limit)
        return np.maximum(drug, target)


def _nearest_other_drug(fingerprints: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows = _sample(len(fingerprints))
    nearest = np.zeros(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _DRUGS_AT_ONCE):
        chosen = rows[start : start + _DRUGS_AT_ONCE]
        similarity = tanimoto(fingerprints[chosen], fingerprints)
        similarity[np.arange(len(chosen)), chosen] = 0
        nearest[start : start + len(chosen)] = similarity.max(axis=1, initial=0.0)
    return nearest


def _nearest_other_target(sequences: Sequence[str]) -> NDArray[np.float32]:
    reference = SequenceReference.fit(sequences)
    nearest = []
    for row in _sample(len(sequences)):
        similarity = reference.similarities(sequences[row])
        similarity[row] = 0
        nearest.append(similarity.max(initial=0.0))
    return np.array(nearest, dtype=np.float32)


def _sample(count: int) -> NDArray[np.int64]:
    """Rows that are looked at: all, or evenly spaced ones."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLED)).round().astype(np.int64))


def _limit(nearest: NDArray[np.float32]) -> float:
    # "lower" takes a similarity that is there, so that its own drug is inside.
    limit = float(np.quantile(nearest, OUTSIDE_FRACTION, method="lower")) if len(nearest) else 0.0
    return min(limit, MAX_LIMIT)
