"""Bilinear attention, with its heads merged.

Published, for one pair with drug rows v (atoms × K) and target rows q (residues × K), per head h:
A_h = (v ⊙ H_h) qᵀ + b_h and f_h,k = Σ_ij v_ik A_h,ij q_jk; the heads' f are added. There is no
softmax between, so with H̄ = Σ_h H_h and b̄ = Σ_h b_h one map does the work of all heads, exactly:
f_k = Σ_ij v_ik [(v ⊙ H̄) qᵀ + b̄]_ij q_jk. We divide by atoms × residues, so that f does not grow
with the sizes of the molecule and the sequence.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm


class BilinearAttention(nn.Module):
    """Joint representation of pairs, ``(pairs, dim)``.

    Args:
        drug_dim, target_dim: widths of the encoders' rows.
        dim: width of the joint representation.
        heads: attention heads.
        pooling: the low-rank width is K = dim × pooling; neighbours are summed at the end.
        dropout: on the encoders' rows.
    """

    def __init__(
        self, drug_dim: int, target_dim: int, dim: int, heads: int, pooling: int, dropout: float
    ) -> None:
        super().__init__()
        rank = dim * pooling
        self.dim, self.pooling = dim, pooling
        self.dropout = nn.Dropout(dropout)
        self.drug_projection = weight_norm(nn.Linear(drug_dim, rank), dim=None)  # type: ignore[arg-type]
        self.target_projection = weight_norm(nn.Linear(target_dim, rank), dim=None)  # type: ignore[arg-type]
        self.head_weights = nn.Parameter(torch.randn(heads, rank))
        self.head_scale = nn.Parameter(self.head_weights.detach().norm())
        self.head_bias = nn.Parameter(torch.randn(heads))

    def merged_heads(self) -> tuple[Tensor, Tensor]:
        """Return H̄ ``(K,)`` and b̄ (a scalar); the heads are weight-normalised together."""
        weights = self.head_weights * (self.head_scale / self.head_weights.norm())
        return weights.sum(0), self.head_bias.sum()

    def project_drugs(self, atoms: Tensor) -> Tensor:
        """Map ``(atoms, drug_dim)`` to v ``(atoms, K)``."""
        return F.relu(self.drug_projection(self.dropout(atoms)))

    def project_targets(self, residues: Tensor) -> Tensor:
        """Map ``(residues, target_dim)`` to q ``(residues, K)``."""
        return F.relu(self.target_projection(self.dropout(residues)))

    def attend(self, v: Tensor, q: Tensor) -> Tensor:
        """Return each atom's share of f, ``v ⊙ (A q) / residues``, as ``(atoms, K)``.

        ``v`` may hold the atoms of several drugs, one after the other: an atom's row depends on
        no other atom.
        """
        heads, bias = self.merged_heads()
        attention = (v * heads.to(v.dtype)) @ q.t() + bias.to(v.dtype)
        return v * (attention @ q) / len(q)

    def pool(self, joint: Tensor) -> Tensor:
        """Sum-pool ``(pairs, K)`` to ``(pairs, dim)``."""
        return joint.view(len(joint), self.dim, self.pooling).sum(-1)
