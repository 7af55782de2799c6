"""Target encoder ``embedding``: a language model's rows, one per target or one per residue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.dti.features.store import Scalers, TargetFeatures
from stages.dti.models.drugban.batch import window
from stages.dti.models.drugban.encoders.dense import (
    DenseLayer,
    VectorTargetBatch,
    vector_target_batch,
)
from stages.dti.models.drugban.encoders.interface import TargetEncoder


class EmbeddingEncoder(TargetEncoder):
    """Embeddings ``width`` wide to ``(rows, dim)``.

    Layer normalisation comes first, in place of a scaler: some columns of these models are a
    hundred times as large as others.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.dim, self.width = dim, width
        self.norm = nn.LayerNorm(width)
        self.layer = DenseLayer(width, dim)

    def collect(
        self,
        targets: TargetFeatures,
        rows: NDArray[np.int64],
        scalers: Scalers,
        crop: int = 0,
        generator: np.random.Generator | None = None,
    ) -> VectorTargetBatch:
        """Pack the embeddings of ``rows``."""
        offsets = targets.embedding_offsets
        bounds = [window(offsets[row], offsets[row + 1], crop, generator) for row in rows]
        return vector_target_batch([targets.embeddings[first:last] for first, last in bounds])

    def sizes(self, targets: TargetFeatures) -> NDArray[np.int64]:
        """Return the number of each target's embeddings."""
        return np.diff(targets.embedding_offsets)

    def forward(self, targets: VectorTargetBatch) -> Tensor:
        """Return float32 ``(rows, dim)``, 0 in the gaps."""
        result: Tensor = self.layer(self.norm(targets.values), targets.gaps)
        return result
