"""Batch normalisation in which nothing cancels."""

from __future__ import annotations

from torch import nn


def randomise_norms(module: nn.Module) -> None:
    """Draw statistics, weights and biases of every batch normalisation."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            for about_0 in (norm.running_mean, norm.bias):
                nn.init.normal_(about_0)
            for about_1 in (norm.running_var, norm.weight):
                nn.init.uniform_(about_1, 0.5, 1.5)
