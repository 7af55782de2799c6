"""Models whose matrix is rougher than their score, for the tests of screening."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.dti.features.store import DrugFeatures, PairData, Scalers, TargetFeatures
from stages.dti.models.base import Model, Precision
from stages.dti.prediction.predictor import Predictor


class Rounded(Model):
    """A model whose matrix rounds as coarsely as bf16 does: to 8 significant bits."""

    steps = 2**8

    def __init__(self, model: Model) -> None:
        self.model = model

    def score(self, pairs: PairData) -> NDArray[np.float64]:
        return self.model.score(pairs)

    def matrix(
        self,
        drugs: DrugFeatures,
        targets: TargetFeatures,
        scalers: Scalers,
        precision: Precision,
    ) -> NDArray[np.float32]:
        scores = self.model.matrix(drugs, targets, scalers, precision)
        if precision == "float32":
            return scores
        fraction, exponent = np.frexp(scores)
        return np.ldexp(np.round(fraction * self.steps) / self.steps, exponent).astype(np.float32)

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    @classmethod
    def load(cls, config: Any, folder: Path) -> Self:
        raise NotImplementedError


class Coarse(Rounded):
    """A model whose matrix rounds to 4 significant bits."""

    steps = 2**4


class Flat(Rounded):
    """A model whose matrix tells no drug from another."""

    def matrix(
        self,
        drugs: DrugFeatures,
        targets: TargetFeatures,
        scalers: Scalers,
        precision: Precision,
    ) -> NDArray[np.float32]:
        return np.full((len(drugs), len(targets)), 0.5, dtype=np.float32)


def with_matrix_of(kind: type[Rounded], predictor: Predictor) -> Predictor:
    content = replace(predictor.content, model=kind(predictor.content.model))
    return Predictor(content, predictor.info.sha256)
