"""What the network reads: each unique drug and target of a batch once, real rows only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.dti.features.store import (
    PADDING_TOKEN,
    DrugFeatures,
    PairData,
    TargetFeatures,
)


@dataclass(frozen=True)
class DrugBatch:
    """Molecular graphs, concatenated.

    Attributes:
        atoms: float32 ``(atoms, ATOM_DIM)``.
        sources, destinations: int64 ``(edges,)``; both directions of each bond and self-loops.
        starts: atom offsets, ``drugs + 1`` numbers.
    """

    atoms: Tensor
    sources: Tensor
    destinations: Tensor
    starts: NDArray[np.int64]

    def to(self, device: torch.device) -> DrugBatch:
        """Return the batch with its tensors on ``device``."""
        return replace(
            self,
            atoms=self.atoms.to(device),
            sources=self.sources.to(device),
            destinations=self.destinations.to(device),
        )


@dataclass(frozen=True)
class TargetBatch:
    """Sequences packed into one row of tokens, with zero gaps as wide as a convolution reaches.

    Attributes:
        tokens: int64 ``(positions,)``; ``PADDING_TOKEN`` in the gaps.
        mask: float32 ``(positions, 1)``; 1 at residues, 0 in gaps.
        starts, ends: position of each target's first residue, and one past its last.
    """

    tokens: Tensor
    mask: Tensor
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def to(self, device: torch.device) -> TargetBatch:
        """Return the batch with its tensors on ``device``."""
        return replace(self, tokens=self.tokens.to(device), mask=self.mask.to(device))


@dataclass(frozen=True)
class PairBatch:
    """Pairs as rows of the batch's unique drugs and targets, sorted by target.

    Attributes:
        drug, target: int64 ``(pairs,)``, rows of ``drugs`` and ``targets``.
        labels: float32 ``(pairs,)``, in the order of the pairs here.
        order: int64 ``(pairs,)``; pair i here is row ``order[i]`` of what was asked for.
    """

    drugs: DrugBatch
    targets: TargetBatch
    drug: NDArray[np.int64]
    target: NDArray[np.int64]
    labels: Tensor | None
    order: NDArray[np.int64]

    def to(self, device: torch.device) -> PairBatch:
        """Return the batch with its tensors on ``device``."""
        return replace(
            self,
            drugs=self.drugs.to(device),
            targets=self.targets.to(device),
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
    return DrugBatch(
        atoms=torch.from_numpy(np.concatenate(atoms).astype(np.float32)),
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
    pieces, starts, ends, position = [], [], [], 0
    spacer = np.full(gap, PADDING_TOKEN, dtype=np.uint8)
    for row in rows:
        first, last = int(features.residue_offsets[row]), int(features.residue_offsets[row + 1])
        if crop and last - first > crop:
            assert generator is not None
            first += int(generator.integers(0, last - first - crop + 1))
            last = first + crop
        pieces += [features.residues[first:last], spacer]
        starts.append(position)
        ends.append(position + last - first)
        position += last - first + gap
    tokens = torch.from_numpy(np.concatenate(pieces).astype(np.int64))
    return TargetBatch(
        tokens=tokens,
        mask=(tokens != PADDING_TOKEN).to(torch.float32).unsqueeze(1),
        starts=np.asarray(starts, dtype=np.int64),
        ends=np.asarray(ends, dtype=np.int64),
    )


def pair_batch(
    data: PairData,
    rows: NDArray[np.int64],
    gap: int,
    crop: int = 0,
    generator: np.random.Generator | None = None,
) -> PairBatch:
    """Collect ``rows`` of ``data``; arguments as for ``target_batch``."""
    order = rows[np.argsort(data.target_index[rows], kind="stable")]
    drugs, drug = np.unique(data.drug_index[order], return_inverse=True)
    targets, target = np.unique(data.target_index[order], return_inverse=True)
    return PairBatch(
        drugs=drug_batch(data.drugs, drugs),
        targets=target_batch(data.targets, targets, gap, crop, generator),
        drug=drug.astype(np.int64),
        target=target.astype(np.int64),
        labels=None if data.labels is None else torch.from_numpy(data.labels[order]),
        order=order,
    )
