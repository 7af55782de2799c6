"""Bilinear attention, with its heads merged.

Published, for one pair with drug rows v (atoms × K) and target rows q (residues × K), per head h:
A_h = (v ⊙ H_h) qᵀ + b_h and f_h,k = Σ_ij v_ik A_h,ij q_jk; the heads' f are added. There is no
softmax between, so with H̄ = Σ_h H_h and b̄ = Σ_h b_h one map does the work of all heads, exactly:
f_k = Σ_ij v_ik [(v ⊙ H̄) qᵀ + b̄]_ij q_jk. We divide by atoms × residues, so that f does not grow
with the sizes of the molecule and the sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrizations import weight_norm

from stages.dti.models.drugban.batch import (
    AttentionPlan,
    DrugBatch,
    PairBatch,
    TargetBatch,
    attention_plan,
)
from stages.dti.models.drugban.interaction import Interaction
from stages.dti.models.drugban.masked import Dropout


class BilinearAttention(Interaction):
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
        self.dropout = Dropout(dropout)
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

    def plan(
        self,
        drugs: DrugBatch,
        targets: TargetBatch,
        drug: NDArray[np.int64],
        target: NDArray[np.int64],
    ) -> AttentionPlan:
        """Lay out which rows of the drugs meet which rows of the targets."""
        return attention_plan(drugs, targets, drug, target)

    def forward(self, drug_rows: Tensor, target_rows: Tensor, batch: PairBatch) -> Tensor:
        """Return f of each pair of a batch, float32 ``(pairs, K)``."""
        plan = batch.plan
        assert isinstance(plan, AttentionPlan)
        v = self.project_drugs(drug_rows)
        residues = self.dropout(target_rows).to(v.dtype)
        heads, bias = self.merged_heads()
        rows = v.index_select(0, plan.atoms)
        shares: Tensor = _Attend.apply(  # type: ignore[no-untyped-call]
            rows,
            rows * heads.to(v.dtype),
            residues,
            self.target_projection.weight.to(v.dtype),
            self.target_projection.bias.to(v.dtype),
            bias,
            plan,
            batch.targets.gaps,
        )
        zeros = shares.new_zeros(len(batch), v.shape[1], dtype=torch.float32)
        return zeros.index_add(0, plan.pairs, shares.float())

    def drugs(self, rows: Tensor, starts: NDArray[np.int64]) -> Tensor:
        """Return v, ``(rows, K)``, without what lies after the last drug."""
        return self.project_drugs(rows[: starts[-1]])

    def target(self, rows: Tensor) -> Tensor:
        """Return q, ``(rows, K)``."""
        return self.project_targets(rows)

    def meet(self, drugs: Tensor, starts: NDArray[np.int64], target: Tensor) -> Tensor:
        """Return f of each drug with one target, ``(drugs, K)``."""
        shares = self.attend(drugs, target)
        sizes = np.diff(starts)
        if len(sizes) == 1:
            return shares.sum(0, keepdim=True) / len(shares)
        owners = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)).to(shares.device)
        sums = shares.new_zeros(len(sizes), shares.shape[1]).index_add(0, owners, shares)
        return sums / torch.from_numpy(sizes).to(shares.device).unsqueeze(1)

    def pool(self, joint: Tensor) -> Tensor:
        """Sum-pool ``(pairs, K)`` to ``(pairs, dim)``."""
        return joint.view(len(joint), self.dim, self.pooling).sum(-1)


class _Attend(torch.autograd.Function):
    """Each row's share of its pair's f: ``v ⊙ (A q)`` times the row's weight, ``(rows, K)``.

    One target at a time against the atoms of all its drugs, so that what a step reads is still in
    the processor's cache from the step before. q = ReLU(linear(residues)) is computed in here too:
    kept outside, autograd would move that largest array of the network through memory again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        v: Tensor,
        weighted: Tensor,
        residues: Tensor,
        weight: Tensor,
        bias: Tensor,
        head_bias: Tensor,
        plan: AttentionPlan,
        gaps: Tensor,
    ) -> Tensor:
        q = torch.addmm(bias, residues, weight.t()).relu_()
        # A position without a residue must not count; with q = 0 it doesn't, whatever A is there.
        q.index_fill_(0, gaps, 0)
        attended = torch.empty_like(v)
        maps = []
        for first, last, start, limit in plan.blocks:
            q_here = q[start:limit]
            attention = weighted[first:last] @ q_here.t()
            attention += head_bias
            torch.mm(attention, q_here, out=attended[first:last])
            maps.append(attention)
        weights = plan.weights.to(v.dtype)
        ctx.save_for_backward(v, weighted, residues, weight, q, attended, weights, *maps)
        ctx.blocks = plan.blocks
        return v * attended * weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        v, weighted, residues, weight, q, attended, weights, *maps = ctx.saved_tensors
        gradient = gradient * weights
        v_gradient = gradient * attended
        attended_gradient = gradient * v
        weighted_gradient = torch.empty_like(weighted)
        q_gradient = torch.empty_like(q)
        head_bias_gradient = gradient.new_zeros((), dtype=torch.float32)
        for (first, last, start, limit), attention in zip(ctx.blocks, maps, strict=True):
            q_here, d_here = q[start:limit], attended_gradient[first:last]
            map_gradient = d_here @ q_here.t()
            head_bias_gradient += map_gradient.sum(dtype=torch.float32)
            torch.mm(map_gradient, q_here, out=weighted_gradient[first:last])
            q_gradient_here = q_gradient[start:limit]
            torch.mm(attention.t(), d_here, out=q_gradient_here)
            q_gradient_here.addmm_(map_gradient.t(), weighted[first:last])
            torch.ops.aten.threshold_backward.grad_input(
                q_gradient_here, q_here, 0, grad_input=q_gradient_here
            )
        q_gradient[ctx.blocks[-1][-1] :] = 0
        return (
            v_gradient,
            weighted_gradient,
            q_gradient @ weight,
            q_gradient.t() @ residues,
            q_gradient.sum(0),
            head_bias_gradient,
            None,
            None,
        )
