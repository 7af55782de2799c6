"""Similarity-weighted labels of the most similar train pairs: what looking it up scores.

The similarity of two pairs is the Tanimoto similarity of their drugs' fingerprints times the
4-mer similarity of their targets' sequences (``chemistry/kmers.py``), to the power ``sharpness``.
A pair's score is the weighted share of positives among its ``neighbours`` most similar train
pairs; train pairs exactly as similar as the last of them vote too, so that the order of train
cannot matter. Where no train pair is similar at all, the score is train's base rate.

A pair with an unseen drug is scored by what similar drugs do to similar targets, likewise an
unseen target: no rule is special to cold pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from stages.dti.chemistry.fingerprints import tanimoto
from stages.dti.chemistry.kmers import SequenceReference
from stages.dti.config.model import NearestNeighbourConfig
from stages.dti.features.store import PairData
from stages.dti.features.targets import sequences_of
from stages.dti.models.base import ClassicalModel, FitContext

WEIGHTS = "train_pairs.safetensors"

_DRUGS_AT_ONCE = 256


@dataclass(frozen=True)
class TrainPairs:
    """The pairs of train, as rows of their unique drugs and targets.

    Attributes:
        fingerprints: uint8 ``(drugs, bits / 8)``.
        residues: uint8 ``(total_residues,)``, tokens of the targets one after the other.
        residue_offsets: int64 ``(targets + 1,)``.
        drug_index, target_index: int32 ``(pairs,)``.
        positive: bool ``(pairs,)``.
    """

    fingerprints: NDArray[np.uint8]
    residues: NDArray[np.uint8]
    residue_offsets: NDArray[np.int64]
    drug_index: NDArray[np.int32]
    target_index: NDArray[np.int32]
    positive: NDArray[np.bool_]


class NearestNeighbour(ClassicalModel):
    """Holds train; all work is done when scoring."""

    weighs_pairs = False

    def __init__(self, config: NearestNeighbourConfig, train: TrainPairs) -> None:
        self._config = config
        self._train = train
        self._base_rate = float(train.positive.mean(dtype=np.float64))
        self._sequences = SequenceReference.fit(sequences_of(train.residues, train.residue_offsets))

    @classmethod
    def fit(
        cls,
        config: NearestNeighbourConfig,
        train: PairData,
        validation: PairData,
        context: FitContext,
    ) -> Self:
        """Keep the drugs, targets and labels of ``train``."""
        assert train.labels is not None
        drugs, drug_index = np.unique(train.drug_index, return_inverse=True)
        targets, target_index = np.unique(train.target_index, return_inverse=True)
        starts = train.targets.residue_offsets[targets]
        ends = train.targets.residue_offsets[targets + 1]
        kept = [train.targets.residues[a:b] for a, b in zip(starts, ends, strict=True)]
        return cls(
            config,
            TrainPairs(
                fingerprints=np.ascontiguousarray(train.drugs.fingerprints[drugs]),
                residues=np.concatenate(kept),
                residue_offsets=np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int64),
                drug_index=drug_index.astype(np.int32),
                target_index=target_index.astype(np.int32),
                positive=train.labels > 0.5,
            ),
        )

    def score(self, pairs: PairData) -> NDArray[np.float64]:
        """Return the weighted share of positive neighbours, float64 ``(pairs,)``."""
        scores = np.empty(len(pairs))
        targets, target_row = np.unique(pairs.target_index, return_inverse=True)
        queries = sequences_of(pairs.targets.residues, pairs.targets.residue_offsets)
        target_similarity = np.empty((len(targets), len(self._sequences)), dtype=np.float32)
        for row, target in enumerate(targets):
            target_similarity[row] = self._sequences.similarities(queries[target])
        by_target = self._sharpened(target_similarity)

        drugs, drug_row = np.unique(pairs.drug_index, return_inverse=True)
        by_row = np.argsort(drug_row, kind="stable")
        first_pair = np.searchsorted(drug_row[by_row], np.arange(len(drugs) + 1))
        for start in range(0, len(drugs), _DRUGS_AT_ONCE):
            block = drugs[start : start + _DRUGS_AT_ONCE]
            by_drug = self._sharpened(
                tanimoto(pairs.drugs.fingerprints[block], self._train.fingerprints)
            )
            for row, similarity in enumerate(by_drug, start):
                of_drug = similarity[self._train.drug_index]
                for pair in by_row[first_pair[row] : first_pair[row + 1]]:
                    of_target = by_target[target_row[pair]][self._train.target_index]
                    scores[pair] = self._vote(of_drug * of_target)
        return scores

    def save(self, folder: Path) -> None:
        """Write train's fingerprints, residues, pairs and labels."""
        arrays = {field.name: getattr(self._train, field.name) for field in fields(TrainPairs)}
        save_file(arrays, folder / WEIGHTS)

    @classmethod
    def load(cls, config: NearestNeighbourConfig, folder: Path) -> Self:
        """Read what ``save`` wrote."""
        return cls(config, TrainPairs(**load_file(folder / WEIGHTS)))

    def _sharpened(self, similarity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raise to the power ``sharpness``, by products alone: they round alike everywhere."""
        result = similarity.copy()
        for _ in range(self._config.sharpness - 1):
            result *= similarity
        return result

    def _vote(self, weights: NDArray[np.float32]) -> float:
        """Return the score from one pair's weight for every train pair, float32 ``(pairs,)``."""
        last = max(0, len(weights) - self._config.neighbours)
        chosen = weights >= np.partition(weights, last)[last]
        votes = weights[chosen]
        # fsum is exact, so neither the order of train nor the number of ties can show.
        total = math.fsum(votes)
        if total == 0:
            return self._base_rate
        return math.fsum(votes[self._train.positive[chosen]]) / total
