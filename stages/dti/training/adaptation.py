"""Conditional adversarial domain adaptation with entropy conditioning (CDAN+E).

Long et al., NeurIPS 2018, as DrugBAN uses it (Bai et al., 2023). A discriminator learns to tell
train pairs (0) from pairs of the test domain (1), whose labels nobody reads, by the multilinear map
f ⊗ g of the joint representation f and the predicted classes g = (1 - p, p). On its way back to f
the gradient is reversed, so that the network learns representations that cannot be told apart.
Pairs that are predicted with certainty weigh more: 1 + exp(-H(g)).

The published discriminator of DrugBAN normalises its batches, each of one domain, which hides the
very shift that it should see; ours, as that of Long et al., does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(value: Tensor, strength: float) -> Tensor:
    """Return ``value``; its gradient is multiplied by ``-strength``."""
    reversed_: Tensor = _Reversal.apply(value, strength)  # type: ignore[no-untyped-call]
    return reversed_


def reversal_strength(progress: float) -> float:
    """Return 2 / (1 + exp(-10 p)) - 1 for progress p from 0 to 1 (Ganin & Lempitsky, 2015)."""
    return 2 / (1 + math.exp(-10 * progress)) - 1


def entropy_weights(logits: Tensor) -> Tensor:
    """Return 1 + exp(-H) of the two classes' probabilities, ``(pairs,)``, between 1.5 and 2."""
    p, log_p, log_q = torch.sigmoid(logits), F.logsigmoid(logits), F.logsigmoid(-logits)
    return 1 + torch.exp(p * log_p + (1 - p) * log_q)


def multilinear_map(features: Tensor, logits: Tensor) -> Tensor:
    """Return f ⊗ g: ``(pairs, dim)`` and ``(pairs,)`` to ``(pairs, 2 dim)``."""
    p = torch.sigmoid(logits)
    classes = torch.stack([1 - p, p], dim=1)
    return (classes.unsqueeze(2) * features.unsqueeze(1)).flatten(1)


class Discriminator(nn.Module):
    """Two hidden layers and one logit: above 0, a pair of the test domain."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, 1),
        )

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """Map f ``(pairs, dim)`` and the pairs' logits to domain logits ``(pairs,)``."""
        domain: Tensor = self.layers(multilinear_map(features, logits))
        return domain.squeeze(1)


@dataclass(frozen=True)
class DomainTerm:
    """One domain's part of the adversarial loss, as sums over pairs.

    Attributes:
        loss: weighted sum of the discriminator's cross-entropies.
        weight: sum of the weights, without gradient.
        correct: how many pairs the discriminator puts into their domain.
    """

    loss: Tensor
    weight: Tensor
    correct: Tensor


def domain_term(
    discriminator: Discriminator, features: Tensor, logits: Tensor, domain: int, strength: float
) -> DomainTerm:
    """Return the adversarial loss of one domain's batch; 0 is train, 1 the test domain.

    The classes condition the discriminator, and are not themselves trained to deceive it: g has
    no gradient. The entropy weights' gradient is reversed, as published.
    """
    features, logits = features.float(), logits.float()
    guess = discriminator(reverse_gradient(features, strength), logits.detach())
    weights = entropy_weights(reverse_gradient(logits, strength))
    truth = torch.full_like(guess, float(domain))
    losses = F.binary_cross_entropy_with_logits(guess, truth, reduction="none")
    return DomainTerm(
        loss=(weights * losses).sum(),
        weight=weights.detach().sum(),
        correct=((guess.detach() > 0) == (domain == 1)).float().sum(),
    )
