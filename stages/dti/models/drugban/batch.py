"""What the network reads: each unique drug and target of a batch once, real rows only.

Sizes are rounded up to tiles, with rows that count for nothing: the kernels of the CPU are prepared
anew for each shape of a matrix, which costs more than a small product itself, so that the few
shapes that remain are worth the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.dti.features.store import PairData

if TYPE_CHECKING:
    from stages.dti.models.drugban.network import DrugBANNetwork

ATOM_TILE = 32
"""The atoms that stand against one target are rounded up to a multiple of this."""


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
class AttentionPlan(Movable):
    """Which rows of the drugs meet which rows of the targets.

    The atoms of all drugs that meet one target stand together, whatever pairs they belong to.

    Attributes:
        atoms: int64 ``(rows,)``, each row's atom in the drug batch; padding repeats atom 0.
        pairs: int64 ``(rows,)``, each row's pair; of padding, the number of pairs.
        rows: int64, the rows that are not padding.
        bags: int64 ``(pairs,)``, where each pair's begin among ``rows``.
        weights: float32 ``(pairs, 1)``: 1 / (atoms × residues).
        blocks: per target, first row and one past its last, first position and its limit.
    """

    atoms: Tensor
    pairs: Tensor
    rows: Tensor
    bags: Tensor
    weights: Tensor
    blocks: tuple[tuple[int, int, int, int], ...]


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


def pair_batch(
    data: PairData,
    rows: NDArray[np.int64],
    network: DrugBANNetwork,
    crop: int = 0,
    generator: np.random.Generator | None = None,
) -> PairBatch:
    """Collect what ``network`` reads of ``rows`` of ``data``, stably sorted by target.

    Args:
        crop: targets of more rows than this are cut to a random window of ``crop``; 0: never.
        generator: draws the windows; required when ``crop`` is not 0.
    """
    order = rows[np.argsort(data.target_index[rows], kind="stable")]
    drug_rows, drug = np.unique(data.drug_index[order], return_inverse=True)
    target_rows, target = np.unique(data.target_index[order], return_inverse=True)
    drugs = network.drug_encoder.collect(data.drugs, drug_rows, data.scalers)
    targets = network.target_encoder.collect(
        data.targets, target_rows, data.scalers, crop, generator
    )
    return PairBatch(
        drugs=drugs,
        targets=targets,
        plan=network.interaction.plan(drugs, targets, drug, target),
        drug=drug.astype(np.int64),
        target=target.astype(np.int64),
        labels=None if data.labels is None else torch.from_numpy(data.labels[order]),
        weights=None if data.weights is None else torch.from_numpy(data.weights[order]),
    )


def attention_plan(
    drugs: DrugBatch, targets: TargetBatch, drug: NDArray[np.int64], target: NDArray[np.int64]
) -> AttentionPlan:
    """Lay out the pairs ``drug[i]``, ``target[i]``, which are sorted by target."""
    sizes = np.diff(drugs.starts)
    lengths = targets.ends - targets.starts
    bounds = np.searchsorted(target, np.arange(len(lengths) + 1))
    atoms, pairs, blocks, row = [], [], [], 0
    for number, (first, last) in enumerate(pairwise(bounds)):
        for pair in range(first, last):
            start, end = drugs.starts[drug[pair]], drugs.starts[drug[pair] + 1]
            atoms.append(np.arange(start, end))
        here = sizes[drug[first:last]]
        padding = -int(here.sum()) % ATOM_TILE
        atoms.append(np.zeros(padding, dtype=np.int64))
        pairs += [np.repeat(np.arange(first, last), here), np.full(padding, len(drug))]
        end_row = row + int(here.sum()) + padding
        blocks.append((row, end_row, int(targets.starts[number]), int(targets.limits[number])))
        row = end_row
    owners = np.concatenate(pairs)
    counts = sizes[drug]
    weights = 1.0 / (counts * lengths[target])
    return AttentionPlan(
        atoms=torch.from_numpy(np.concatenate(atoms)),
        pairs=torch.from_numpy(owners),
        rows=torch.from_numpy(np.flatnonzero(owners < len(drug))),
        bags=torch.from_numpy(np.cumsum(counts) - counts),
        weights=torch.from_numpy(weights.astype(np.float32)).unsqueeze(1),
        blocks=tuple(blocks),
    )


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
