"""What the network reads: each unique drug and target of a batch once, real rows only.

Sizes are rounded up to tiles, with rows that count for nothing: the kernels of the CPU are prepared
anew for each shape of a matrix, which costs more than a small product itself, so that the few
shapes that remain are worth the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.dti.features.store import (
    ATOM_DIM,
    PADDING_TOKEN,
    DrugFeatures,
    PairData,
    TargetFeatures,
)

ATOM_TILE = 32
"""The atoms that stand against one target are rounded up to a multiple of this."""

GRAPH_TILE = 128
"""All atoms of a batch are rounded up to a multiple of this."""

RESIDUE_TILE = 64
"""The positions from one target's first residue to the next's are a multiple of this."""

PACK_TILE = 1024
"""All positions of a batch are a multiple of this, once there are as many."""


@dataclass(frozen=True)
class DrugBatch:
    """Molecular graphs, concatenated.

    Attributes:
        atoms: float32 ``(rows, ATOM_DIM)``.
        gaps: int64, the rows after the last atom.
        sources, destinations: int64 ``(edges,)``; both directions of each bond and self-loops.
        starts: atom offsets, ``drugs + 1`` numbers.
    """

    atoms: Tensor
    gaps: Tensor
    sources: Tensor
    destinations: Tensor
    starts: NDArray[np.int64]

    def to(self, device: torch.device) -> DrugBatch:
        """Return the batch with its tensors on ``device``."""
        return replace(
            self,
            atoms=self.atoms.to(device),
            gaps=self.gaps.to(device),
            sources=self.sources.to(device),
            destinations=self.destinations.to(device),
        )


@dataclass(frozen=True)
class TargetBatch:
    """Sequences packed into one row of tokens, with gaps at least as wide as a convolution reaches.

    Attributes:
        tokens: int64 ``(positions,)``; ``PADDING_TOKEN`` in the gaps.
        gaps: int64, the positions that hold no residue.
        starts, ends: position of each target's first residue, and one past its last.
        limits: one past each target's last position; between ``ends`` and it lies its gap.
    """

    tokens: Tensor
    gaps: Tensor
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    limits: NDArray[np.int64]

    def to(self, device: torch.device) -> TargetBatch:
        """Return the batch with its tensors on ``device``."""
        return replace(self, tokens=self.tokens.to(device), gaps=self.gaps.to(device))


@dataclass(frozen=True)
class AttentionPlan:
    """Which rows of the drugs meet which rows of the targets.

    The atoms of all drugs that meet one target stand together, whatever pairs they belong to.

    Attributes:
        atoms: int64 ``(rows,)``, each row's atom in the drug batch; padding repeats atom 0.
        pairs: int64 ``(rows,)``, each row's pair; of padding, 0.
        weights: float32 ``(rows, 1)``: 1 / (atoms × residues) of the row's pair; of padding, 0.
        blocks: per target, first row and one past its last, first position and its limit.
    """

    atoms: Tensor
    pairs: Tensor
    weights: Tensor
    blocks: tuple[tuple[int, int, int, int], ...]

    def to(self, device: torch.device) -> AttentionPlan:
        """Return the plan with its tensors on ``device``."""
        return replace(
            self,
            atoms=self.atoms.to(device),
            pairs=self.pairs.to(device),
            weights=self.weights.to(device),
        )


@dataclass(frozen=True)
class PairBatch:
    """Pairs as rows of the batch's unique drugs and targets, sorted by target.

    Attributes:
        drug, target: int64 ``(pairs,)``, rows of ``drugs`` and ``targets``.
        labels: float32 ``(pairs,)``, in the order of the pairs here.
    """

    drugs: DrugBatch
    targets: TargetBatch
    plan: AttentionPlan
    drug: NDArray[np.int64]
    target: NDArray[np.int64]
    labels: Tensor | None

    def __len__(self) -> int:
        return len(self.drug)

    def to(self, device: torch.device) -> PairBatch:
        """Return the batch with its tensors on ``device``."""
        return replace(
            self,
            drugs=self.drugs.to(device),
            targets=self.targets.to(device),
            plan=self.plan.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


def drug_batch(features: DrugFeatures, rows: NDArray[np.int64]) -> DrugBatch:
    """Collect the graphs of ``rows`` of ``features``."""
    atoms, sources, destinations, starts = [], [], [], [0]
    for row in rows:
        first, last = features.atom_offsets[row], features.atom_offsets[row + 1]
        bonds = features.bonds[features.bond_offsets[row] : features.bond_offsets[row + 1]]
        count = int(last - first)
        loops = np.arange(count, dtype=np.int64) + starts[-1]
        ends = bonds.astype(np.int64) + starts[-1]
        atoms.append(features.atoms[first:last])
        sources += [ends[:, 0], ends[:, 1], loops]
        destinations += [ends[:, 1], ends[:, 0], loops]
        starts.append(starts[-1] + count)
    packed = np.zeros((_tiled(starts[-1], GRAPH_TILE), ATOM_DIM), dtype=np.float32)
    packed[: starts[-1]] = np.concatenate(atoms)
    return DrugBatch(
        atoms=torch.from_numpy(packed),
        gaps=torch.arange(starts[-1], len(packed)),
        sources=torch.from_numpy(np.concatenate(sources)),
        destinations=torch.from_numpy(np.concatenate(destinations)),
        starts=np.asarray(starts, dtype=np.int64),
    )


def target_batch(
    features: TargetFeatures,
    rows: NDArray[np.int64],
    gap: int,
    crop: int = 0,
    generator: np.random.Generator | None = None,
) -> TargetBatch:
    """Pack the sequences of ``rows`` of ``features``.

    Args:
        gap: positions left empty after each target; at least the widest kernel less one.
        crop: sequences longer than this are cut to a random window of ``crop`` residues; 0: never.
        generator: draws the windows; required when ``crop`` is not 0.
    """
    pieces, starts, ends, limits, position = [], [], [], [], 0
    for row in rows:
        first, last = int(features.residue_offsets[row]), int(features.residue_offsets[row + 1])
        if crop and last - first > crop:
            assert generator is not None
            first += int(generator.integers(0, last - first - crop + 1))
            last = first + crop
        pieces.append(features.residues[first:last])
        starts.append(position)
        ends.append(position + last - first)
        position += _round_up(last - first + gap, RESIDUE_TILE)
        limits.append(position)
    packed = np.full(_tiled(position, PACK_TILE), PADDING_TOKEN, dtype=np.int64)
    for start, end, piece in zip(starts, ends, pieces, strict=True):
        packed[start:end] = piece
    return TargetBatch(
        tokens=torch.from_numpy(packed),
        gaps=torch.from_numpy(np.flatnonzero(packed == PADDING_TOKEN)),
        starts=np.asarray(starts, dtype=np.int64),
        ends=np.asarray(ends, dtype=np.int64),
        limits=np.asarray(limits, dtype=np.int64),
    )


def pair_batch(
    data: PairData,
    rows: NDArray[np.int64],
    gap: int,
    crop: int = 0,
    generator: np.random.Generator | None = None,
) -> PairBatch:
    """Collect ``rows`` of ``data``, stably sorted by target; arguments as for ``target_batch``."""
    order = rows[np.argsort(data.target_index[rows], kind="stable")]
    drug_rows, drug = np.unique(data.drug_index[order], return_inverse=True)
    target_rows, target = np.unique(data.target_index[order], return_inverse=True)
    drugs = drug_batch(data.drugs, drug_rows)
    targets = target_batch(data.targets, target_rows, gap, crop, generator)
    return PairBatch(
        drugs=drugs,
        targets=targets,
        plan=attention_plan(drugs, targets, drug, target),
        drug=drug.astype(np.int64),
        target=target.astype(np.int64),
        labels=None if data.labels is None else torch.from_numpy(data.labels[order]),
    )


def attention_plan(
    drugs: DrugBatch, targets: TargetBatch, drug: NDArray[np.int64], target: NDArray[np.int64]
) -> AttentionPlan:
    """Lay out the pairs ``drug[i]``, ``target[i]``, which are sorted by target."""
    sizes = np.diff(drugs.starts)
    lengths = targets.ends - targets.starts
    bounds = np.searchsorted(target, np.arange(len(lengths) + 1))
    atoms, pairs, weights, blocks, row = [], [], [], [], 0
    for number, (first, last) in enumerate(pairwise(bounds)):
        for pair in range(first, last):
            start, end = drugs.starts[drug[pair]], drugs.starts[drug[pair] + 1]
            atoms.append(np.arange(start, end))
        here = sizes[drug[first:last]]
        padding = -int(here.sum()) % ATOM_TILE
        atoms.append(np.zeros(padding, dtype=np.int64))
        pairs += [np.repeat(np.arange(first, last), here), np.zeros(padding, dtype=np.int64)]
        weights += [np.repeat(1.0 / (here * lengths[number]), here), np.zeros(padding)]
        end_row = row + int(here.sum()) + padding
        blocks.append((row, end_row, int(targets.starts[number]), int(targets.limits[number])))
        row = end_row
    return AttentionPlan(
        atoms=torch.from_numpy(np.concatenate(atoms)),
        pairs=torch.from_numpy(np.concatenate(pairs)),
        weights=torch.from_numpy(np.concatenate(weights).astype(np.float32)).unsqueeze(1),
        blocks=tuple(blocks),
    )


def _tiled(count: int, tile: int) -> int:
    """Round up what is above one tile; a single drug or target is left as it is."""
    return _round_up(count, tile) if count > tile else count


def _round_up(count: int, tile: int) -> int:
    return -(-count // tile) * tile
