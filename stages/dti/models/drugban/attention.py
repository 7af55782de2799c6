"""Bilinear attention, with its heads merged.

Published, for one pair with drug rows v (atoms × K) and target rows q (residues × K), per head h:
A_h = (v ⊙ H_h) qᵀ + b_h and f_h,k = Σ_ij v_ik A_h,ij q_jk; the heads' f are added. There is no
softmax between, so with H̄ = Σ_h H_h and b̄ = Σ_h b_h one map does the work of all heads, exactly:
f_k = Σ_ij v_ik [(v ⊙ H̄) qᵀ + b̄]_ij q_jk. We divide by atoms × residues, so that f does not grow
with the sizes of the molecule and the sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrizations import weight_norm

from stages.dti.models.drugban.batch import DrugBatch, Movable, PairBatch, TargetBatch
from stages.dti.models.drugban.interaction import Interaction, Joiner
from stages.dti.models.drugban.ops import Dropout, product, zero_where_at_most

ATOM_TILE = 32
"""The atoms that stand against one target are rounded up to a multiple of this."""


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
        device = target_rows.device.type
        autocast = torch.is_autocast_enabled(device)
        kind = torch.get_autocast_dtype(device) if autocast else target_rows.dtype
        residues = self.dropout(target_rows.to(kind))
        # Gathered before they are projected: a row is a sixth as wide here.
        atoms = self.dropout(drug_rows.to(kind)).index_select(0, plan.atoms)
        heads, head_bias = self.merged_heads()
        joint: Tensor = _Attend.apply(  # type: ignore[no-untyped-call]
            atoms,
            residues,
            self.drug_projection.weight.to(kind),
            self.drug_projection.bias.to(kind),
            self.target_projection.weight.to(kind),
            self.target_projection.bias.to(kind),
            heads.to(kind),
            head_bias,
            plan,
            batch.targets.gaps,
        )
        return joint

    def joiner(self) -> MergedAttention:
        """Return the attention with its weights and heads merged."""
        heads, head_bias = self.merged_heads()
        return MergedAttention(
            drug_weight=self.drug_projection.weight,
            drug_bias=self.drug_projection.bias,
            target_weight=self.target_projection.weight,
            target_bias=self.target_projection.bias,
            heads=heads,
            head_bias=head_bias,
        )

    def pool(self, joint: Tensor) -> Tensor:
        """Sum-pool ``(pairs, K)`` to ``(pairs, dim)``."""
        return joint.view(len(joint), self.dim, self.pooling).sum(-1)


@dataclass(frozen=True)
class MergedAttention(Joiner):
    """Bilinear attention whose weight norms are applied and whose heads are merged.

    Attributes:
        drug_weight, drug_bias: v = ReLU(linear(atoms)); ``(K, drug_dim)``, ``(K,)``.
        target_weight, target_bias: q = ReLU(linear(residues)); ``(K, target_dim)``, ``(K,)``.
        heads, head_bias: H̄ ``(K,)`` and b̄ (a scalar).
    """

    drug_weight: Tensor
    drug_bias: Tensor
    target_weight: Tensor
    target_bias: Tensor
    heads: Tensor
    head_bias: Tensor

    def drugs(self, rows: Tensor, starts: NDArray[np.int64]) -> Tensor:
        """Return v, ``(rows, K)``, without what lies after the last drug."""
        return F.relu(F.linear(rows[: starts[-1]], self.drug_weight, self.drug_bias))

    def target(self, rows: Tensor) -> Tensor:
        """Return q, ``(rows, K)``."""
        return F.relu(F.linear(rows, self.target_weight, self.target_bias))

    def meet(self, drugs: Tensor, starts: NDArray[np.int64], target: Tensor) -> Tensor:
        """Return f of each drug with one target, ``(drugs, K)``."""
        sizes = np.diff(starts)
        if len(sizes) == 1:
            shares = self.attend(drugs, target)
            return shares.sum(0, keepdim=True) / len(shares)
        shares = self.attend_many(drugs, target).float()
        rows = torch.arange(len(shares), device=shares.device)
        bags = torch.from_numpy(starts[:-1]).to(shares.device)
        sums = F.embedding_bag(rows, shares, bags, mode="sum")
        return sums / torch.from_numpy(sizes).to(shares.device).unsqueeze(1)

    def attend(self, v: Tensor, q: Tensor) -> Tensor:
        """Return each atom's share of f, ``v ⊙ (A q) / residues``, as ``(atoms, K)``.

        ``v`` may hold the atoms of several drugs, one after the other: an atom's row depends on
        no other atom.
        """
        attention = (v * self.heads.to(v.dtype)) @ q.t() + self.head_bias.to(v.dtype)
        return v * (attention @ q) / len(q)

    def attend_many(self, v: Tensor, q: Tensor) -> Tensor:
        """Return what ``attend`` does but for rounding; of many atoms in less time.

        A q = (v ⊙ H̄) (qᵀq) + b̄ Σ q: with more than K / 2 residues qᵀq, once it is made, spares
        more than it costs.
        """
        if 2 * len(q) <= v.shape[1]:
            return self.attend(v, q)
        scaled = q / len(q)
        attended = product(v * self.heads.to(v.dtype), q.t() @ scaled)
        return v * (attended + (self.head_bias * scaled.sum(0, dtype=torch.float32)).to(v.dtype))


class _Attend(torch.autograd.Function):
    """f of each pair, float32 ``(pairs, K)``.

    One target at a time against the atoms of all its drugs, so that what a step reads is still in
    the processor's cache from the step before. v and q, ReLU(linear(rows)), are computed in here
    too: kept outside, autograd would move these largest arrays of the network through memory again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        atoms: Tensor,
        residues: Tensor,
        drug_weight: Tensor,
        drug_bias: Tensor,
        target_weight: Tensor,
        target_bias: Tensor,
        heads: Tensor,
        head_bias: Tensor,
        plan: AttentionPlan,
        gaps: Tensor,
    ) -> Tensor:
        v = torch.addmm(drug_bias, atoms, drug_weight.t()).relu_()
        q = torch.addmm(target_bias, residues, target_weight.t()).relu_()
        # A position without a residue must not count; with q = 0 it doesn't, whatever A is there.
        q.index_fill_(0, gaps, 0)
        weighted = v * heads
        attended = torch.empty_like(v)
        maps = []
        for first, last, start, limit in plan.blocks:
            q_here = q[start:limit]
            attention = weighted[first:last] @ q_here.t()
            attention += head_bias
            torch.mm(attention, q_here, out=attended[first:last])
            maps.append(attention)
        ctx.save_for_backward(
            atoms, residues, drug_weight, target_weight, heads, v, q, weighted, attended, *maps
        )
        ctx.plan = plan
        sums = F.embedding_bag(plan.rows, v * attended, plan.bags, mode="sum")
        return sums.float() * plan.weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        atoms, residues, drug_weight, target_weight, heads, v, q, weighted, attended, *maps = (
            ctx.saved_tensors
        )
        plan: AttentionPlan = ctx.plan
        # One row more, for padding.
        by_pair = F.pad((gradient * plan.weights).to(v.dtype), (0, 0, 0, 1))
        by_row = by_pair.index_select(0, plan.pairs)
        v_gradient = by_row * attended
        attended_gradient = by_row.mul_(v)
        weighted_gradient = torch.empty_like(weighted)
        q_gradient = torch.empty_like(q)
        head_bias_gradient = gradient.new_zeros(())
        for (first, last, start, limit), attention in zip(plan.blocks, maps, strict=True):
            q_here, d_here = q[start:limit], attended_gradient[first:last]
            map_gradient = d_here @ q_here.t()
            head_bias_gradient += map_gradient.sum(dtype=torch.float32)
            torch.mm(map_gradient, q_here, out=weighted_gradient[first:last])
            q_gradient_here = q_gradient[start:limit]
            torch.mm(attention.t(), d_here, out=q_gradient_here)
            q_gradient_here.addmm_(map_gradient.t(), weighted[first:last])
            zero_where_at_most(q_gradient_here, q_here, 0, out=q_gradient_here)
        q_gradient[plan.blocks[-1][-1] :] = 0
        v_gradient.addcmul_(weighted_gradient, heads)
        zero_where_at_most(v_gradient, v, 0, out=v_gradient)
        heads_gradient = weighted_gradient.mul_(v).sum(0)
        return (
            v_gradient @ drug_weight,
            q_gradient @ target_weight,
            v_gradient.t() @ atoms,
            v_gradient.sum(0),
            q_gradient.t() @ residues,
            q_gradient.sum(0),
            heads_gradient,
            head_bias_gradient,
            None,
            None,
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
