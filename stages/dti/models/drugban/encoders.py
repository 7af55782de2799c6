"""The two encoders: a graph convolutional network on atoms, a convolutional network on residues."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.dti.features.store import ATOM_DIM, PADDING_TOKEN, RESIDUE_TOKENS
from stages.dti.models.drugban.batch import DrugBatch, TargetBatch
from stages.dti.models.drugban.masked import RowBatchNorm


class GraphLayer(nn.Module):
    """One layer as published: ReLU(A h W + b) + ReLU(h R + c), then batch normalisation.

    A holds both directions of each bond and self-loops and is not normalised; batch normalisation
    runs over real atoms only.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convolution = nn.Linear(dim, dim)
        self.residual = nn.Linear(dim, dim)
        self.norm = RowBatchNorm(dim)

    def forward(self, atoms: Tensor, graph: DrugBatch) -> Tensor:
        """Map ``(atoms, dim)`` to ``(atoms, dim)``."""
        messages = atoms.index_select(0, graph.sources)
        gathered = torch.zeros_like(atoms).index_add_(0, graph.destinations, messages)
        hidden = F.relu(self.convolution(gathered)) + F.relu(self.residual(atoms))
        result: Tensor = self.norm(hidden.float(), graph.gaps)
        return result


class DrugEncoder(nn.Module):
    """Atoms to ``(atoms, dim)``."""

    def __init__(self, dim: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(ATOM_DIM, dim, bias=False)
        self.layers = nn.ModuleList(GraphLayer(dim) for _ in range(layers))

    def forward(self, graph: DrugBatch) -> Tensor:
        """Return float32 ``(atoms, dim)``."""
        atoms = self.embedding(graph.atoms).float()
        for layer in self.layers:
            atoms = layer(atoms, graph)
        result: Tensor = atoms
        return result


class TargetEncoder(nn.Module):
    """Residues to ``(positions, filters)``; zero in the gaps between packed sequences.

    Each layer is BatchNorm(ReLU(convolution)), as published. Convolutions keep the length, so
    that position i of the output is residue i, and gaps are masked again after each layer, so
    that a residue sees zeros beyond its sequence's ends whatever stands beside it in the batch.
    """

    def __init__(self, embedding_dim: int, filters: list[int], kernels: list[int]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(RESIDUE_TOKENS, embedding_dim, padding_idx=PADDING_TOKEN)
        widths = [embedding_dim, *filters]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, (1, kernel))
            for (before, after), kernel in zip(pairwise(widths), kernels, strict=True)
        )
        self.norms = nn.ModuleList(RowBatchNorm(width) for width in filters)
        self.gap = max(kernels) - 1

    def forward(self, targets: TargetBatch) -> Tensor:
        """Return ``(positions, filters[-1])``, in the precision of the convolutions."""
        one_hot = torch.eye(RESIDUE_TOKENS, device=targets.tokens.device)
        one_hot[PADDING_TOKEN] = 0
        rows = one_hot.index_select(0, targets.tokens)
        for index, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            weight: Tensor = convolution.get_parameter("weight")
            bias: Tensor = convolution.get_parameter("bias")
            if index == 0:
                # The embedding and the first convolution are both linear: one convolution over
                # one-hot residues does the work of the two, on 26 channels.
                table = self.embedding.weight
                weight = torch.einsum("oihk,ti->othk", weight, table)
            rows = norm(_convolve(rows, weight, bias), targets.gaps, rectify=True)
        return rows


def _convolve(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve ``(positions, channels)`` along positions, keeping the length.

    A 1 × k ``conv2d`` on this layout is channels-last without a copy, which is the fast path of
    the CPU kernels. Of an even kernel's two centres the right one is taken; it would give one
    position too many, so the last row, which lies in a gap, is left out.
    """
    kernel = weight.shape[-1]
    positions, channels = rows.shape
    if kernel % 2 == 0:
        rows = rows[:-1]
    image = rows.view(1, 1, -1, channels).permute(0, 3, 1, 2)
    weight = weight.contiguous(memory_format=torch.channels_last)
    convolved = F.conv2d(image, weight, bias, padding=(0, kernel // 2))
    return convolved.permute(0, 2, 3, 1).reshape(positions, -1)
