"""Batches shared by several processes, with the statistics that one process would compute.

Lightning's ``sync_batchnorm`` puts in torch's ``SyncBatchNorm``, which knows neither gaps between
packed rows nor that a drug or target that several processes hold is to count once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed
from numpy.typing import NDArray
from torch import Tensor

from stages.dti.features.store import PairData
from stages.dti.models.drugban.batch import PairBatch
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from stages.dti.models.drugban.ops import RowBatchNorm
from stages.dti.training.processes import Process


@dataclass(frozen=True)
class SharedBatch(PairBatch):
    """One process's pairs of a batch.

    Attributes:
        drug_weights, target_weights: float32 ``(rows,)``, how much each row of ``drugs`` and
            ``targets`` counts in statistics: a drug or target that several processes hold counts
            in each with the inverse of their number, so that it counts once; 0 in gaps.
    """

    drug_weights: Tensor
    target_weights: Tensor


class _SumOverProcesses(torch.autograd.Function):
    """The sum over processes; as every process's loss depends on it, its gradient is one too."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total


class SynchronisedBatchNorm(RowBatchNorm):
    """``RowBatchNorm`` over the rows of all processes, each row with its weight.

    Attributes:
        row_weights: of the next batch; ``None``: 1 each, as of pairs.
    """

    row_weights: Tensor | None = None

    def forward(self, rows: Tensor, gaps: Tensor | None = None, *, rectify: bool = False) -> Tensor:
        """As ``RowBatchNorm.forward``; every process must call it."""
        if not self.training:
            return super().forward(rows, gaps, rectify=rectify)
        values = (rows.relu() if rectify else rows).float()
        weights = values.new_ones(len(values)) if self.row_weights is None else self.row_weights
        if gaps is not None:
            # Whatever a gap holds; infinity times 0 is not 0.
            values = values.index_fill(0, gaps, 0)
            weights = weights.index_fill(0, gaps, 0)
        sums = torch.cat([weights @ values, weights @ values.square(), weights.sum()[None]])
        sums = _SumOverProcesses.apply(sums)  # type: ignore[no-untyped-call]
        count = sums[-1]
        mean, squares = (sums[:-1] / count).chunk(2)
        variance = (squares - mean.square()).clamp_min(0)
        self.track(mean, variance * (count / (count - 1).clamp_min(1)))
        result = (values - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        if gaps is not None:
            result = result.index_fill(0, gaps, 0)
        normalised: Tensor = result.to(rows.dtype)
        return normalised


def synchronise(network: DrugBANNetwork) -> None:
    """Make every batch normalisation one over all processes, in place."""
    for module in network.modules():
        if isinstance(module, RowBatchNorm):
            module.__class__ = SynchronisedBatchNorm


def joint_representation(network: DrugBANNetwork, batch: PairBatch) -> Tensor:
    """Return the joint representation ``(pairs, dim)`` of a batch, shared or not."""
    if isinstance(batch, SharedBatch):
        for encoder, weights in (
            (network.drug_encoder, batch.drug_weights),
            (network.target_encoder, batch.target_weights),
        ):
            for module in encoder.modules():
                if isinstance(module, SynchronisedBatchNorm):
                    module.row_weights = weights
    return network.representation(network.joint(batch))


def shared_batch(
    process: Process,
    data: PairData,
    rows: NDArray[np.int64],
    network: DrugBANNetwork,
    crop: int = 0,
    generator: np.random.Generator | None = None,
) -> PairBatch:
    """Return ``pair_batch`` of the process's share of ``rows``."""
    own = process.share(rows)
    batch = pair_batch(data, own, network, crop, generator)
    if process.count == 1:
        return batch
    shares = process.shares(rows)
    drugs, targets = batch.drugs, batch.targets
    return SharedBatch(
        **vars(batch),
        drug_weights=_spread(
            _inverse_holders(data.drug_index, shares, own),
            drugs.starts[:-1],
            drugs.starts[1:],
            int(drugs.starts[-1]) + len(drugs.gaps),
        ),
        target_weights=_spread(
            _inverse_holders(data.target_index, shares, own),
            targets.starts,
            targets.ends,
            int((targets.ends - targets.starts).sum()) + len(targets.gaps),
        ),
    )


def _inverse_holders(
    index: NDArray[np.int64], shares: list[NDArray[np.int64]], own: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return 1 / the number of shares that hold it, for each unique entry of ``own``, sorted."""
    held = np.concatenate([np.unique(index[share]) for share in shares])
    unique, counts = np.unique(held, return_counts=True)
    return 1 / counts[np.searchsorted(unique, np.unique(index[own]))]


def _spread(
    weights: NDArray[np.float64], starts: NDArray[np.int64], ends: NDArray[np.int64], rows: int
) -> Tensor:
    """Spread one weight per drug or target over its rows; 0 in the gaps."""
    spread = np.zeros(rows, dtype=np.float32)
    for weight, start, end in zip(weights, starts, ends, strict=True):
        spread[start:end] = weight
    return torch.from_numpy(spread)
