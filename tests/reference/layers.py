"""Layers that the padded form and the published network have in common.

Parameters and buffers have the names of the library's network: its state can be loaded.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tests.reference.sizes import NetworkSizes


class GraphLayer(nn.Module):
    """``BN(ReLU(A h W + b) + ReLU(h R + c))``: dgl-lifesci's GCN layer, without normalisation."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.convolution = nn.Linear(dim, dim)
        self.residual = nn.Linear(dim, dim)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, atoms: Tensor, sources: Tensor, destinations: Tensor) -> Tensor:
        """Map ``(atoms, dim)`` to the same shape; edges are rows of ``atoms``."""
        messages = atoms.index_select(0, sources)
        gathered = torch.zeros_like(atoms).index_add_(0, destinations, messages)
        hidden = F.relu(self.convolution(gathered)) + F.relu(self.residual(atoms))
        normalised: Tensor = self.norm(hidden)
        return normalised


class Attention(nn.Module):
    """Bilinear attention with one explicit atom × residue map per head, summed over all cells."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        rank = sizes.rank
        self.pooling = sizes.pooling
        self.dropout = nn.Dropout(sizes.dropout)
        self.drug_projection = weight_norm(nn.Linear(sizes.graph_dim, rank), dim=None)  # type: ignore[arg-type]
        self.target_projection = weight_norm(nn.Linear(sizes.filters[-1], rank), dim=None)  # type: ignore[arg-type]
        self.head_weights = nn.Parameter(torch.randn(sizes.heads, rank))
        self.head_scale = nn.Parameter(self.head_weights.detach().norm())
        self.head_bias = nn.Parameter(torch.randn(sizes.heads))

    def project_drugs(self, atoms: Tensor) -> Tensor:
        """Map ``(drugs, atoms, dim)`` to v ``(drugs, atoms, K)``."""
        return F.relu(self.drug_projection(self.dropout(atoms)))

    def project_targets(self, residues: Tensor) -> Tensor:
        """Map ``(targets, residues, dim)`` to q ``(targets, residues, K)``."""
        return F.relu(self.target_projection(self.dropout(residues)))

    def forward(self, v: Tensor, q: Tensor) -> Tensor:
        """Return the pooled f of each pair, ``(pairs, dim)``."""
        heads = self.head_weights * (self.head_scale / self.head_weights.norm())
        maps = torch.einsum("xhyk,bvk,bqk->bhvq", heads[None, :, None, :], v, q)
        maps = maps + self.head_bias.view(1, -1, 1, 1)
        pooled = [
            F.avg_pool1d(
                torch.einsum("bvk,bvq,bqk->bk", v, maps[:, head], q).unsqueeze(1), self.pooling
            ).squeeze(1)
            for head in range(len(heads))
        ]
        return torch.stack(pooled).sum(0) * self.pooling


class Classifier(nn.Module):
    """Three times ``BN(ReLU(linear))``, then the logit."""

    def __init__(self, sizes: NetworkSizes) -> None:
        super().__init__()
        *hidden, (last, _) = sizes.classifier
        self.linears = nn.ModuleList(nn.Linear(before, after) for before, after in hidden)
        self.norms = nn.ModuleList(nn.BatchNorm1d(after) for _, after in hidden)
        self.logit = nn.Linear(last, 1)

    def forward(self, joint: Tensor) -> Tensor:
        """Map ``(pairs, dim)`` to logits ``(pairs,)``."""
        for linear, norm in zip(self.linears, self.norms, strict=True):
            joint = norm(F.relu(linear(joint)))
        logits: Tensor = self.logit(joint)
        return logits.squeeze(1)
