"""Drug encoder ``graph``: message passing on atoms, one row per atom.

All three kinds of layer work on packed molecules: an edge never leaves its molecule, so an atom's
row depends on its own molecule alone. Batch normalisation runs over real atoms only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from stages.dti.config.model import ATTENTION_HEADS, GraphConfig
from stages.dti.features.store import ATOM_DIM, DrugFeatures, Scalers
from stages.dti.models.drugban.batch import DrugBatch, tiled
from stages.dti.models.drugban.encoder import DrugEncoder
from stages.dti.models.drugban.ops import RowBatchNorm

GRAPH_TILE = 128
"""All atoms of a batch are rounded up to a multiple of this."""


@dataclass(frozen=True)
class GraphBatch(DrugBatch):
    """Molecular graphs; a row is an atom.

    Attributes:
        atoms: float32 ``(rows, ATOM_DIM)``.
        sources, destinations: int64 ``(edges,)``, sorted by destination; both directions of each
            bond and self-loops.
        bags: int64 ``(rows,)``, where each destination's edges begin.
    """

    atoms: Tensor
    sources: Tensor
    destinations: Tensor
    bags: Tensor


def graph_batch(features: DrugFeatures, rows: NDArray[np.int64]) -> GraphBatch:
    """Collect the graphs of ``rows`` of ``features``."""
    atoms, sources, destinations, starts = [], [], [], [0]
    for row in rows:
        first, last = features.atom_offsets[row], features.atom_offsets[row + 1]
        bonds = features.bonds[features.bond_offsets[row] : features.bond_offsets[row + 1]]
        count = int(last - first)
        loops = np.arange(count, dtype=np.int64) + starts[-1]
        pairs = bonds.astype(np.int64) + starts[-1]
        atoms.append(features.atoms[first:last])
        sources += [pairs[:, 0], pairs[:, 1], loops]
        destinations += [pairs[:, 1], pairs[:, 0], loops]
        starts.append(starts[-1] + count)
    packed = np.zeros((tiled(starts[-1], GRAPH_TILE), ATOM_DIM), dtype=np.float32)
    packed[: starts[-1]] = np.concatenate(atoms)
    ends = np.concatenate(destinations)
    order = np.argsort(ends, kind="stable")
    degrees = np.bincount(ends, minlength=len(packed))
    return GraphBatch(
        atoms=torch.from_numpy(packed),
        gaps=torch.arange(starts[-1], len(packed)),
        sources=torch.from_numpy(np.concatenate(sources)[order]),
        destinations=torch.from_numpy(ends[order]),
        bags=torch.from_numpy(np.cumsum(degrees) - degrees),
        starts=np.asarray(starts, dtype=np.int64),
    )


class GraphEncoder(DrugEncoder):
    """Atoms to ``(atoms, dim)``."""

    def __init__(self, config: GraphConfig) -> None:
        super().__init__()
        layer = {"gcn": GCNLayer, "gin": GINLayer, "gatv2": GATv2Layer}[config.layer]
        self.dim, self.width = config.dim, ATOM_DIM
        self.embedding = nn.Linear(ATOM_DIM, config.dim, bias=False)
        self.layers = nn.ModuleList(layer(config.dim) for _ in range(config.layers))

    def collect(self, drugs: DrugFeatures, rows: NDArray[np.int64], scalers: Scalers) -> GraphBatch:
        """Collect the graphs of ``rows``."""
        return graph_batch(drugs, rows)

    def sizes(self, drugs: DrugFeatures) -> NDArray[np.int64]:
        """Return the number of atoms of each drug."""
        return np.diff(drugs.atom_offsets)

    def forward(self, graph: GraphBatch) -> Tensor:
        """Return float32 ``(atoms, dim)``."""
        atoms = self.embedding(graph.atoms).float()
        for layer in self.layers:
            atoms = layer(atoms, graph)
        result: Tensor = atoms
        return result


class GCNLayer(nn.Module):
    """One layer as DrugBAN has it: ReLU(A h W + b) + ReLU(h R + c), then batch normalisation.

    A holds both directions of each bond and self-loops and is not normalised.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convolution = nn.Linear(dim, dim)
        self.residual = nn.Linear(dim, dim)
        self.norm = RowBatchNorm(dim)

    def forward(self, atoms: Tensor, graph: GraphBatch) -> Tensor:
        """Map ``(atoms, dim)`` to ``(atoms, dim)``."""
        hidden = F.relu(self.convolution(_gather(atoms, graph))) + F.relu(self.residual(atoms))
        result: Tensor = self.norm(hidden.float(), graph.gaps)
        return result


class GINLayer(nn.Module):
    """Graph isomorphism network: Xu et al., ICLR 2019, equation 4.1, with ε learned.

    h' = MLP((1 + ε) h + Σ h over neighbours), the MLP two linear layers with batch normalisation
    between, and batch normalisation and ReLU after it, as in the authors' code.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.epsilon = nn.Parameter(torch.zeros(()))
        self.first = nn.Linear(dim, dim)
        self.inner_norm = RowBatchNorm(dim)
        self.second = nn.Linear(dim, dim)
        self.norm = RowBatchNorm(dim)

    def forward(self, atoms: Tensor, graph: GraphBatch) -> Tensor:
        """Map ``(atoms, dim)`` to ``(atoms, dim)``."""
        # The self-loop is the 1 of 1 + ε.
        gathered = _gather(atoms, graph) + self.epsilon * atoms
        hidden = F.relu(self.inner_norm(self.first(gathered).float(), graph.gaps))
        result: Tensor = F.relu(self.norm(self.second(hidden).float(), graph.gaps))
        return result


class GATv2Layer(nn.Module):
    """Graph attention as Brody et al., ICLR 2022, equation 7, have it, then BatchNorm(ReLU).

    Per head, e_ij = aᵀ LeakyReLU(L h_i + R h_j + b), α = softmax of e_i over the neighbours of i
    and i itself, and h'_i = Σ_j α_ij R h_j + c; the heads are concatenated.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.left = nn.Linear(dim, dim)
        self.right = nn.Linear(dim, dim, bias=False)
        self.attention = nn.Parameter(torch.empty(ATTENTION_HEADS, dim // ATTENTION_HEADS))
        nn.init.xavier_uniform_(self.attention)
        self.bias = nn.Parameter(torch.zeros(dim))
        self.norm = RowBatchNorm(dim)

    def forward(self, atoms: Tensor, graph: GraphBatch) -> Tensor:
        """Map ``(atoms, dim)`` to ``(atoms, dim)``."""
        heads = (-1, *self.attention.shape)
        messages = self.right(atoms).float().index_select(0, graph.sources).view(heads)
        receivers = self.left(atoms).float().index_select(0, graph.destinations).view(heads)
        scores = (F.leaky_relu(receivers + messages, 0.2) * self.attention).sum(2)
        # Any constant per atom leaves its softmax as it is; its largest score keeps exp finite.
        rows, count = graph.destinations, len(atoms)
        largest = scores.new_full((count, len(self.attention)), -torch.inf)
        places = rows.unsqueeze(1).expand_as(scores)
        largest = largest.scatter_reduce(0, places, scores.detach(), "amax")
        weights = torch.exp(scores - largest.index_select(0, rows))
        totals = weights.new_zeros(count, len(self.attention)).index_add(0, rows, weights)
        weights = weights / totals.index_select(0, rows)
        hidden = torch.zeros_like(atoms).index_add(
            0, rows, (messages * weights.unsqueeze(2)).flatten(1)
        )
        result: Tensor = self.norm(hidden + self.bias, graph.gaps, rectify=True)
        return result


def _gather(atoms: Tensor, graph: GraphBatch) -> Tensor:
    """Return A h: each atom's own row and its neighbours', added up."""
    gathered: Tensor = _Gather.apply(atoms, graph.sources, graph.bags)  # type: ignore[no-untyped-call]
    return gathered


class _Gather(torch.autograd.Function):
    """A h as sums over bags of rows, a fraction of the cost of adding row by row.

    A is symmetric, so that its gradient is the same sums of the gradient's rows.
    """

    @staticmethod
    def forward(ctx: Any, atoms: Tensor, sources: Tensor, bags: Tensor) -> Tensor:
        ctx.save_for_backward(sources, bags)
        return F.embedding_bag(sources, atoms, bags, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        sources, bags = ctx.saved_tensors
        return F.embedding_bag(sources, gradient.contiguous(), bags, mode="sum"), None, None
