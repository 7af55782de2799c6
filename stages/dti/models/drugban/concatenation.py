"""Interaction ``concat``: the mean rows of drug and target, side by side, through one layer.

No row of the drug ever meets a single row of the target: what bilinear attention is measured
against, and enough where both are one vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.dti.models.drugban.batch import DrugBatch, Movable, PairBatch, TargetBatch
from stages.dti.models.drugban.interaction import Interaction, Joiner
from stages.dti.models.drugban.ops import Dropout


@dataclass(frozen=True)
class Owners(Movable):
    """Whose rows are whose.

    Attributes:
        rows: int64 ``(rows,)``, the number of each row's drug or target; of gaps, one past the
            last.
        counts: float32 ``(drugs or targets, 1)``, how many rows each has.
    """

    rows: Tensor
    counts: Tensor


@dataclass(frozen=True)
class ConcatenationPlan(Movable):
    """The rows of the batch's drugs and targets, and its pairs, int64 ``(pairs,)``."""

    drugs: Owners
    targets: Owners
    drug: Tensor
    target: Tensor


class Concatenation(Interaction, Joiner):
    """Joint representation of pairs, ReLU(W [mean drug row, mean target row] + b).

    Args:
        drug_dim, target_dim: widths of the encoders' rows.
        dim: width of the joint representation.
        dropout: on the means.
    """

    def __init__(self, drug_dim: int, target_dim: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.dim = dim
        self.dropout = Dropout(dropout)
        # W in its two halves, so that each drug and each target goes through its own once.
        self.drug_linear = nn.Linear(drug_dim, dim, bias=False)
        self.target_linear = nn.Linear(target_dim, dim)

    def plan(
        self,
        drugs: DrugBatch,
        targets: TargetBatch,
        drug: NDArray[np.int64],
        target: NDArray[np.int64],
    ) -> ConcatenationPlan:
        """Note each row's owner."""
        return ConcatenationPlan(
            drugs=_owners(drugs.starts[:-1], drugs.starts[1:], len(drugs.gaps)),
            targets=_owners(targets.starts, targets.ends, len(targets.gaps)),
            drug=torch.from_numpy(drug),
            target=torch.from_numpy(target),
        )

    def forward(self, drug_rows: Tensor, target_rows: Tensor, batch: PairBatch) -> Tensor:
        """Return the joint representation, float32 ``(pairs, dim)``."""
        plan = batch.plan
        assert isinstance(plan, ConcatenationPlan)
        drugs = self.drug_linear(self.dropout(_means(drug_rows, plan.drugs)))
        targets = self.target_linear(self.dropout(_means(target_rows, plan.targets)))
        joint = drugs.index_select(0, plan.drug) + targets.index_select(0, plan.target)
        return F.relu(joint).float()

    def joiner(self) -> Concatenation:
        """Return itself: nothing is to be merged."""
        return self

    def drugs(self, rows: Tensor, starts: NDArray[np.int64]) -> Tensor:
        """Return one row per drug, ``(drugs, dim)``."""
        owners = _owners(starts[:-1], starts[1:], len(rows) - int(starts[-1]))
        ready: Tensor = self.drug_linear(_means(rows, owners).to(rows.dtype))
        return ready

    def target(self, rows: Tensor) -> Tensor:
        """Return one row, ``(1, dim)``."""
        ready: Tensor = self.target_linear(rows.mean(0, keepdim=True))
        return ready

    def meet(self, drugs: Tensor, starts: NDArray[np.int64], target: Tensor) -> Tensor:
        """Return the joint representation of each drug with one target, ``(drugs, dim)``."""
        return F.relu(drugs + target)

    def pool(self, joint: Tensor) -> Tensor:
        """Return ``joint``."""
        return joint


def _owners(starts: NDArray[np.int64], ends: NDArray[np.int64], gaps: int) -> Owners:
    sizes = ends - starts
    owners = np.full(int(sizes.sum()) + gaps, len(sizes), dtype=np.int64)
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        owners[start:end] = number
    return Owners(
        rows=torch.from_numpy(owners),
        counts=torch.from_numpy(sizes.astype(np.float32)).unsqueeze(1),
    )


def _means(rows: Tensor, owners: Owners) -> Tensor:
    """Return the mean row of each owner, float32 ``(owners, dim)``."""
    count = len(owners.counts)
    sums = torch.zeros(count + 1, rows.shape[1], device=rows.device)
    return sums.index_add(0, owners.rows, rows.float())[:count] / owners.counts
