"""Rows of the classical models' feature matrix, gathered from unique drugs and unique targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.dti.features.drugs import DRUG_DESCRIPTORS
from stages.dti.features.store import PairData
from stages.dti.features.targets import target_descriptor_names

_FIXED_TARGET_DESCRIPTORS = len(target_descriptor_names(0))


@dataclass(frozen=True)
class PairMatrix:
    """The matrix ``(pairs, width)`` of pairs, of which only the rows asked for exist.

    Columns: fingerprint bits (0, 1), drug descriptors, target descriptors; unscaled.
    """

    pairs: PairData

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def width(self) -> int:
        """Number of columns."""
        drugs, targets = self.pairs.drugs, self.pairs.targets
        bits = 8 * drugs.fingerprints.shape[1]
        return int(bits + drugs.descriptors.shape[1] + targets.descriptors.shape[1])

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows ``start`` to ``stop``, float32 ``(stop - start, width)``."""
        drugs, targets = self.pairs.drugs, self.pairs.targets
        drug_index = self.pairs.drug_index[start:stop]
        target_index = self.pairs.target_index[start:stop]
        bits = 8 * drugs.fingerprints.shape[1]
        first_target = bits + drugs.descriptors.shape[1]
        rows = np.empty((len(drug_index), self.width), dtype=np.float32)
        rows[:, :bits] = np.unpackbits(drugs.fingerprints[drug_index], axis=1)
        rows[:, bits:first_target] = drugs.descriptors[drug_index]
        rows[:, first_target:] = targets.descriptors[target_index]
        return rows

    def names(self) -> list[str]:
        """Return the columns' names."""
        kmer_bins = self.pairs.targets.descriptors.shape[1] - _FIXED_TARGET_DESCRIPTORS
        bits = 8 * self.pairs.drugs.fingerprints.shape[1]
        return [
            *(f"morgan_bit_{bit}" for bit in range(bits)),
            *(f"drug_{name}" for name in DRUG_DESCRIPTORS),
            *(f"target_{name}" for name in target_descriptor_names(kmer_bins)),
        ]
