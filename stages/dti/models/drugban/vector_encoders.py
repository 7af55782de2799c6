"""Encoders of vectors, each BatchNorm(ReLU(linear)): descriptors, fingerprints and embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.dti.features.store import DrugFeatures, Scaler, Scalers, TargetFeatures
from stages.dti.models.drugban.batch import DrugBatch, TargetBatch, round_up, window
from stages.dti.models.drugban.encoder import DrugEncoder, TargetEncoder
from stages.dti.models.drugban.ops import RowBatchNorm

ROW_TILE = 64
"""The rows of a target that has several are rounded up to a multiple of this."""


@dataclass(frozen=True)
class VectorDrugBatch(DrugBatch):
    """One vector per drug: ``values`` float32 ``(drugs, width)``."""

    values: Tensor


@dataclass(frozen=True)
class VectorTargetBatch(TargetBatch):
    """Vectors, one or several per target: ``values`` float32 ``(positions, width)``, 0 in gaps."""

    values: Tensor


def vector_drug_batch(values: NDArray[np.uint8] | NDArray[np.float32]) -> VectorDrugBatch:
    """Make a batch of ``values`` ``(drugs, width)``."""
    return VectorDrugBatch(
        gaps=torch.empty(0, dtype=torch.int64),
        starts=np.arange(len(values) + 1, dtype=np.int64),
        values=torch.from_numpy(values.astype(np.float32)),
    )


def vector_target_batch(parts: list[NDArray[np.float32]]) -> VectorTargetBatch:
    """Pack the rows of each target, ``(rows, width)`` each."""
    sizes = np.array([len(part) for part in parts], dtype=np.int64)
    tile = 1 if sizes.max() == 1 else ROW_TILE
    limits = np.cumsum([round_up(int(size), tile) for size in sizes], dtype=np.int64)
    starts = np.concatenate([[0], limits[:-1]])
    ends = starts + sizes
    values = np.zeros((limits[-1], parts[0].shape[1]), dtype=np.float32)
    is_gap = np.ones(len(values), dtype=bool)
    for start, end, part in zip(starts, ends, parts, strict=True):
        values[start:end] = part
        is_gap[start:end] = False
    return VectorTargetBatch(
        gaps=torch.from_numpy(np.flatnonzero(is_gap)),
        starts=starts,
        ends=ends,
        limits=limits,
        values=torch.from_numpy(values),
    )


class DenseLayer(nn.Module):
    """``(rows, width)`` to ``(rows, dim)``."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, dim)
        self.norm = RowBatchNorm(dim)

    def forward(self, vectors: Tensor, gaps: Tensor) -> Tensor:
        """Return float32 ``(rows, dim)``, 0 in ``gaps``."""
        result: Tensor = self.norm(self.linear(vectors).float(), gaps, rectify=True)
        return result


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
