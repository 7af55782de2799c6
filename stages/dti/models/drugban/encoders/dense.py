"""What the encoders of vectors share: batches of vectors, and BatchNorm(ReLU(linear))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.dti.models.drugban.batch import DrugBatch, TargetBatch, round_up
from stages.dti.models.drugban.masked import RowBatchNorm

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
