"""What the network reads: each unique drug and target of a batch once, real rows only.

Sizes are rounded up to tiles, with rows that count for nothing: the kernels of the CPU are prepared
anew for each shape of a matrix, which costs more than a small product itself, so that the few
shapes that remain are worth the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Movable:
    """Something that holds tensors."""

    def to(self, device: torch.device) -> Self:
        """Return a copy with its tensors on ``device``."""
        parts = vars(self).items()
        return replace(
            self, **{name: part.to(device) for name, part in parts if hasattr(part, "to")}
        )


@dataclass(frozen=True)
class DrugBatch(Movable):
    """Rows of several drugs, one drug after the other; each encoder adds what it reads of them.

    Attributes:
        gaps: int64, the rows after the last drug's.
        starts: row offsets, ``drugs + 1`` numbers.
    """

    gaps: Tensor
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class TargetBatch(Movable):
    """Positions of several targets, one target after the other, with gaps; as ``DrugBatch``.

    Attributes:
        gaps: int64, the positions that hold no row.
        starts, ends: position of each target's first row, and one past its last.
        limits: one past each target's last position; between ``ends`` and it lies its gap.
    """

    gaps: Tensor
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    limits: NDArray[np.int64]


@dataclass(frozen=True)
class PairBatch(Movable):
    """Pairs as rows of the batch's unique drugs and targets, sorted by target.

    Attributes:
        plan: what the network's interaction needs to know of the pairs.
        drug, target: int64 ``(pairs,)``, rows of ``drugs`` and ``targets``.
        labels, weights: float32 ``(pairs,)``, in the order of the pairs here; ``None`` if the data
            have none.
    """

    drugs: DrugBatch
    targets: TargetBatch
    plan: Movable
    drug: NDArray[np.int64]
    target: NDArray[np.int64]
    labels: Tensor | None
    weights: Tensor | None

    def __len__(self) -> int:
        return len(self.drug)


def window(
    first: int, last: int, crop: int, generator: np.random.Generator | None
) -> tuple[int, int]:
    """Cut ``first`` to ``last`` to a random window of ``crop`` rows, if there are more of them."""
    if crop and last - first > crop:
        assert generator is not None
        first += int(generator.integers(0, last - first - crop + 1))
        last = first + crop
    return first, last


def round_up(count: int, tile: int) -> int:
    """Return the least multiple of ``tile`` that is at least ``count``."""
    return -(-count // tile) * tile


def tiled(count: int, tile: int) -> int:
    """Round up what is above one tile; a single drug or target is left as it is."""
    return round_up(count, tile) if count > tile else count
