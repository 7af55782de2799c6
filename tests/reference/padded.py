"""DrugBAN in the published formulation, padded and pair by pair.

Bai et al. 2023: every drug padded to 290 atoms and every protein to 1,200 residues, a protein
encoded again for each pair that it stands in, one explicit atom × residue map per head, float32.
The operations are those of the published code, in their order; what is computed is our function,
so that both give the same logits from the same weights in eval mode (``published`` has the authors'
own function, and what tells the two apart).

In training mode batch normalisation runs over the padding too, as published. Ours does not, so
training steps agree in their work and not in their values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.dti.errors import DataError
from stages.dti.features.store import (
    ATOM_DIM,
    PADDING_TOKEN,
    RESIDUE_TOKENS,
    DrugFeatures,
    PairData,
    TargetFeatures,
)
from tests.reference.layers import Attention, Classifier, GraphLayer
from tests.reference.sizes import NetworkSizes, Padding


@dataclass(frozen=True)
class PaddedDrugs:
    """Molecular graphs of one size.

    Attributes:
        atoms: float32 ``(drugs, padded_atoms, ATOM_DIM)``; 0 beyond a drug's atoms.
        mask: float32 ``(drugs, padded_atoms, 1)``; 1 at atoms.
        sources, destinations: int64 ``(edges,)``, rows of the flattened atoms; both directions of
            each bond, and a self-loop at every row.
    """

    atoms: Tensor
    mask: Tensor
    sources: Tensor
    destinations: Tensor


@dataclass(frozen=True)
class PaddedTargets:
    """Sequences of one size.

    Attributes:
        tokens: int64 ``(targets, padded_residues)``; ``PADDING_TOKEN`` after the last residue.
        mask: float32 ``(targets, 1, padded_residues)``; 1 at residues.
    """

    tokens: Tensor
    mask: Tensor


@dataclass(frozen=True)
class PaddedBatch:
    """Pairs, each with a drug and a target of its own.

    Attributes:
        labels: float32 ``(pairs,)``.
    """

    drugs: PaddedDrugs
    targets: PaddedTargets
    labels: Tensor | None


def padded_drugs(
    features: DrugFeatures, rows: Sequence[int] | NDArray[np.int64], padding: Padding
) -> PaddedDrugs:
    """Collect the graphs of ``rows``, one place per row even where rows repeat.

    Raises:
        DataError: a drug has more atoms than that.
    """
    atoms = np.zeros((len(rows), padding.atoms, ATOM_DIM), dtype=np.float32)
    mask = np.zeros((len(rows), padding.atoms, 1), dtype=np.float32)
    bonds = []
    for place, row in enumerate(rows):
        first, last = features.atom_offsets[row], features.atom_offsets[row + 1]
        count = int(last - first)
        if count > padding.atoms:
            raise DataError(
                f"a drug of {count} atoms does not fit benchmark.padded_atoms={padding.atoms}; "
                "raise it"
            )
        atoms[place, :count] = features.atoms[first:last]
        mask[place, :count] = 1
        own = features.bonds[features.bond_offsets[row] : features.bond_offsets[row + 1]]
        bonds.append(own.astype(np.int64) + place * padding.atoms)
    ends = np.concatenate(bonds)
    loops = np.arange(len(rows) * padding.atoms, dtype=np.int64)
    return PaddedDrugs(
        atoms=torch.from_numpy(atoms),
        mask=torch.from_numpy(mask),
        sources=torch.from_numpy(np.concatenate([ends[:, 0], ends[:, 1], loops])),
        destinations=torch.from_numpy(np.concatenate([ends[:, 1], ends[:, 0], loops])),
    )


def padded_targets(
    features: TargetFeatures, rows: Sequence[int] | NDArray[np.int64], padding: Padding
) -> PaddedTargets:
    """Collect the sequences of ``rows``, one place per row even where rows repeat.

    Raises:
        DataError: a sequence is longer than that.
    """
    tokens = np.full((len(rows), padding.residues), PADDING_TOKEN, dtype=np.int64)
    for place, row in enumerate(rows):
        own = features.residues[features.residue_offsets[row] : features.residue_offsets[row + 1]]
        if len(own) > padding.residues:
            raise DataError(
                f"a sequence of {len(own)} residues does not fit "
                f"benchmark.padded_residues={padding.residues}; raise it"
            )
        tokens[place, : len(own)] = own
    mask = (tokens != PADDING_TOKEN).astype(np.float32)[:, None, :]
    return PaddedTargets(tokens=torch.from_numpy(tokens), mask=torch.from_numpy(mask))


def padded_batch(data: PairData, rows: NDArray[np.int64], padding: Padding) -> PaddedBatch:
    """Collect ``rows`` of ``data``, in order."""
    return PaddedBatch(
        drugs=padded_drugs(data.drugs, data.drug_index[rows], padding),
        targets=padded_targets(data.targets, data.target_index[rows], padding),
        labels=None if data.labels is None else torch.from_numpy(data.labels[rows]),
    )


class _DrugEncoder(nn.Module):
    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        self.embedding = nn.Linear(ATOM_DIM, sizes.graph_dim, bias=False)
        self.layers = nn.ModuleList(GraphLayer(sizes.graph_dim) for _ in range(sizes.graph_layers))

    def forward(self, drugs: PaddedDrugs) -> Tensor:
        """Return ``(drugs, padded_atoms, dim)``."""
        count, atoms, width = drugs.atoms.shape
        rows: Tensor = self.embedding(drugs.atoms.view(-1, width))
        for layer in self.layers:
            rows = layer(rows, drugs.sources, drugs.destinations) * drugs.mask.view(-1, 1)
        return rows.view(count, atoms, -1)


class _TargetEncoder(nn.Module):
    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        self.embedding = nn.Embedding(RESIDUE_TOKENS, sizes.filters[0], padding_idx=PADDING_TOKEN)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, (1, kernel)) for before, after, kernel in sizes.convolutions
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in sizes.filters[1:])

    def forward(self, targets: PaddedTargets) -> Tensor:
        """Return ``(targets, padded_residues, filters)``."""
        length = targets.tokens.shape[1]
        # Padding has a row of zeros, also where someone has written to the table.
        rows: Tensor = self.embedding(targets.tokens).transpose(1, 2) * targets.mask
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            weight = convolution.get_parameter("weight")[:, :, 0, :]
            bias = convolution.get_parameter("bias")
            convolved = F.conv1d(rows, weight, bias, padding=weight.shape[-1] // 2)
            # Of an even kernel's two centres the right one is taken, which leaves one row too many.
            normalised: Tensor = norm(F.relu(convolved[:, :, :length]))
            rows = normalised * targets.mask
        return rows.transpose(1, 2)


class PaddedDrugBAN(nn.Module):
    """The whole network on padded batches; ``forward`` returns one logit per pair, in order."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        self.drug_encoder = _DrugEncoder(sizes)
        self.target_encoder = _TargetEncoder(sizes)
        self.attention = Attention(sizes)
        self.joint_norm = nn.BatchNorm1d(sizes.dim)
        self.classifier = Classifier(sizes)

    def encode_drugs(self, drugs: PaddedDrugs) -> Tensor:
        """Return v, ``(drugs, padded_atoms, K)``; 0 beyond a drug's atoms."""
        return self.attention.project_drugs(self.drug_encoder(drugs)) * drugs.mask

    def encode_targets(self, targets: PaddedTargets) -> Tensor:
        """Return q, ``(targets, padded_residues, K)``; 0 beyond a target's residues."""
        encoded = self.attention.project_targets(self.target_encoder(targets))
        return encoded * targets.mask.transpose(1, 2)

    def forward(self, batch: PaddedBatch) -> Tensor:
        """Return logits ``(pairs,)``."""
        v, q = self.encode_drugs(batch.drugs), self.encode_targets(batch.targets)
        cells = batch.drugs.mask.sum((1, 2)) * batch.targets.mask.sum((1, 2))
        joint = self.attention(v, q) / cells.unsqueeze(1)
        logits: Tensor = self.classifier(self.joint_norm(joint))
        return logits


def with_weights_of(network: nn.Module, sizes: NetworkSizes) -> PaddedDrugBAN:
    """Return the reference with the weights of an engine's ``network``, in eval mode."""
    reference = PaddedDrugBAN(sizes)
    reference.load_state_dict(network.state_dict())
    return reference.eval()
