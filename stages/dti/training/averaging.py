"""What validation and the kept weights are computed from: averaged weights, fresh statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stages.dti.models.drugban.batch import PairBatch
from stages.dti.models.drugban.ops import RowBatchNorm


class MovingAverage:
    """Exponential moving average of a network's parameters.

    The decay of step t is min(decay, (1 + t) / (10 + t)), so that the random weights of the start
    are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.values = {
            name: parameter.detach().clone() for name, parameter in network.named_parameters()
        }

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights after an optimiser step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, parameter in network.named_parameters():
            self.values[name].lerp_(parameter, 1 - decay)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """Put the averages in place of the network's parameters."""
        present = {name: p.detach().clone() for name, p in network.named_parameters()}
        _assign(network, self.values)
        try:
            yield
        finally:
            _assign(network, present)


@torch.no_grad()
def _assign(network: nn.Module, values: dict[str, Tensor]) -> None:
    for name, parameter in network.named_parameters():
        parameter.copy_(values[name])


def renew_statistics(
    network: nn.Module, batches: Iterable[PairBatch], forward: Callable[[PairBatch], Tensor]
) -> None:
    """Make the batch-norm statistics those of the present weights; leaves eval mode on.

    The running averages mix statistics of older weights and of cropped sequences, which made
    validation jump between epochs; here they are computed anew, without crops or dropout.
    """
    norms = [module for module in network.modules() if isinstance(module, RowBatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in batches:
            forward(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
