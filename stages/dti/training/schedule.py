"""The optimiser and the learning-rate schedule that section ``trainer`` names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)

from stages.dti.config.trainer import TrainerConfig


def make_optimizer(
    network: nn.Module,
    discriminator: nn.Module | None,
    discriminator_learning_rate: float,
    config: TrainerConfig,
) -> torch.optim.Optimizer:
    """Build the optimiser; the discriminator's parameters have a learning rate of their own.

    Biases, batch-norm weights and the weight-normalisation scales are not decayed.
    """

    def groups(parameters: Iterable[nn.Parameter], rate: float) -> list[dict[str, Any]]:
        listed = list(parameters)
        return [
            {
                "params": [p for p in listed if (p.ndim > 1) == decayed],
                "lr": rate,
                "weight_decay": w,
            }
            for decayed, w in ((True, config.weight_decay), (False, 0.0))
        ]

    chosen = groups(network.parameters(), config.learning_rate)
    if discriminator is not None:
        chosen += groups(discriminator.parameters(), discriminator_learning_rate)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(chosen, fused=True)


def make_schedule(
    optimizer: torch.optim.Optimizer, config: TrainerConfig, total_steps: int
) -> LRScheduler | None:
    """Build the schedule over ``total_steps`` optimiser steps; ``None``: a constant rate.

    ``cyclic_cosine`` is that of snapshot ensembles (Huang et al., ICLR 2017, equation 2): the rate
    falls along half a cosine from its start to nearly 0 in each of ``cycles`` equal cycles.
    """
    match config.schedule:
        case "one_cycle":
            return OneCycleLR(
                optimizer,
                max_lr=[group["lr"] for group in optimizer.param_groups],
                total_steps=total_steps,
                pct_start=config.warmup_fraction,
            )
        case "cosine":
            return CosineAnnealingLR(optimizer, T_max=total_steps)
        case "cyclic_cosine":
            cycle = math.ceil(total_steps / config.cycles)
            return LambdaLR(
                optimizer, lambda step: (math.cos(math.pi * (step % cycle) / cycle) + 1) / 2
            )
        case "reduce_on_plateau":
            return ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
        case "constant":
            return None
