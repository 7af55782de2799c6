"""Drug encoder ``fingerprint``: the bits of a Morgan fingerprint, one row per drug."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stages.dti.features.store import DrugFeatures, Scalers
from stages.dti.models.drugban.encoders.dense import (
    DenseLayer,
    VectorDrugBatch,
    vector_drug_batch,
)
from stages.dti.models.drugban.encoders.interface import DrugEncoder


class FingerprintEncoder(DrugEncoder):
    """Fingerprints of ``bits`` bits to ``(drugs, dim)``."""

    def __init__(self, bits: int, dim: int) -> None:
        super().__init__()
        self.dim, self.width = dim, bits
        self.layer = DenseLayer(bits, dim)

    def collect(
        self, drugs: DrugFeatures, rows: NDArray[np.int64], scalers: Scalers
    ) -> VectorDrugBatch:
        """Unpack the fingerprints of ``rows``."""
        return vector_drug_batch(np.unpackbits(drugs.fingerprints[rows], axis=1))

    def sizes(self, drugs: DrugFeatures) -> NDArray[np.int64]:
        """Return 1 for each drug."""
        return np.ones(len(drugs), dtype=np.int64)

    def forward(self, drugs: VectorDrugBatch) -> Tensor:
        """Return float32 ``(drugs, dim)``."""
        result: Tensor = self.layer(drugs.values, drugs.gaps)
        return result
