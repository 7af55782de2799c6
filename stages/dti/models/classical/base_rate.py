"""The share of positives in train, for every pair: what knowing nothing scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stages.dti.config.model import BaseRateConfig
from stages.dti.features.store import PairData
from stages.dti.files import write_json
from stages.dti.models.base import ClassicalModel, FitContext

WEIGHTS = "base_rate.json"


class BaseRate(ClassicalModel):
    """Scores every pair with the same number."""

    weighs_pairs = False

    def __init__(self, pairs: int, positives: int) -> None:
        self._pairs = pairs
        self._positives = positives

    @classmethod
    def fit(
        cls, config: BaseRateConfig, train: PairData, validation: PairData, context: FitContext
    ) -> Self:
        """Count the positives of ``train``; nothing else is used."""
        assert train.labels is not None
        return cls(len(train), int(train.labels.sum(dtype=np.int64)))

    def score(self, pairs: PairData) -> NDArray[np.float64]:
        """Return the base rate for each pair, float64 ``(pairs,)``."""
        return np.full(len(pairs), self._positives / self._pairs)

    def save(self, folder: Path) -> None:
        """Write the two counts."""
        write_json(folder / WEIGHTS, {"pairs": self._pairs, "positives": self._positives})

    @classmethod
    def load(cls, config: BaseRateConfig, folder: Path) -> Self:
        """Read what ``save`` wrote."""
        return cls(**json.loads((folder / WEIGHTS).read_text(encoding="utf-8")))
