"""Encoders ``descriptors`` of drugs and of targets: scaled descriptors, one row each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stages.dti.features.store import DrugFeatures, Scaler, Scalers, TargetFeatures
from stages.dti.models.drugban.encoders.dense import (
    DenseLayer,
    VectorDrugBatch,
    VectorTargetBatch,
    vector_drug_batch,
    vector_target_batch,
)
from stages.dti.models.drugban.encoders.interface import DrugEncoder, TargetEncoder

LIMIT = 10.0
"""Scaled descriptors are clipped to plus or minus this many deviations of train.

What train hardly ever has, a certain dipeptide, say, has a tiny deviation: one of a new target can
lie a hundred of them away.
"""


class DrugDescriptorsEncoder(DrugEncoder):
    """Drug descriptors ``width`` wide to ``(drugs, dim)``."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.dim, self.width = dim, width
        self.layer = DenseLayer(width, dim)

    def collect(
        self, drugs: DrugFeatures, rows: NDArray[np.int64], scalers: Scalers
    ) -> VectorDrugBatch:
        """Scale the descriptors of ``rows``."""
        return vector_drug_batch(_scaled(drugs.descriptors[rows], scalers.drug_descriptors))

    def sizes(self, drugs: DrugFeatures) -> NDArray[np.int64]:
        """Return 1 for each drug."""
        return np.ones(len(drugs), dtype=np.int64)

    def forward(self, drugs: VectorDrugBatch) -> Tensor:
        """Return float32 ``(drugs, dim)``."""
        result: Tensor = self.layer(drugs.values, drugs.gaps)
        return result


class TargetDescriptorsEncoder(TargetEncoder):
    """Target descriptors ``width`` wide to ``(targets, dim)``."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.dim, self.width = dim, width
        self.layer = DenseLayer(width, dim)

    def collect(
        self,
        targets: TargetFeatures,
        rows: NDArray[np.int64],
        scalers: Scalers,
        crop: int = 0,
        generator: np.random.Generator | None = None,
    ) -> VectorTargetBatch:
        """Scale the descriptors of ``rows``; they are of the whole sequence, so no crop."""
        values = _scaled(targets.descriptors[rows], scalers.target_descriptors)
        return vector_target_batch([values[i : i + 1] for i in range(len(rows))])

    def sizes(self, targets: TargetFeatures) -> NDArray[np.int64]:
        """Return 1 for each target."""
        return np.ones(len(targets), dtype=np.int64)

    def forward(self, targets: VectorTargetBatch) -> Tensor:
        """Return float32 ``(targets, dim)``."""
        result: Tensor = self.layer(targets.values, targets.gaps)
        return result


def _scaled(descriptors: NDArray[np.float32], scaler: Scaler) -> NDArray[np.float32]:
    return scaler.transform(descriptors).clip(-LIMIT, LIMIT)
