"""The gradient that a batch of ``GroupedBatches`` gives is in expectation that of all pairs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.dti.training.samplers import GroupedBatches

PAIRS, DIM, BATCH, EPOCHS = 400, 6, 40, 2000
LIMIT = 4.5
"""Standard errors; 6 numbers at 3 places exceed it by chance once in 8,000 tests."""


@pytest.fixture(scope="module")
def target_index() -> NDArray[np.int64]:
    """Few targets with most of the pairs, many with one or two, as in real tables."""
    return (30 * np.random.default_rng(0).random(PAIRS) ** 3).astype(np.int64)


@pytest.fixture(scope="module")
def gradients(target_index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each pair's gradient of the log-loss of a linear model, ``(pairs, dim)``.

    Pairs of one target resemble each other, so that favouring targets would show.
    """
    generator = np.random.default_rng(1)
    features = generator.normal(size=(30, DIM))[target_index] + generator.normal(size=(PAIRS, DIM))
    labels = (features @ generator.normal(size=DIM) > 0) ^ (generator.random(PAIRS) < 0.2)
    probability = 1 / (1 + np.exp(-features @ generator.normal(size=DIM)))
    return (probability - labels)[:, None] * features


def deviation(
    draw: Callable[[], NDArray[np.int64]], gradients: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return, in standard errors, how far the batches' mean gradient is from that of all pairs."""
    batches = np.stack([gradients[draw()].mean(axis=0) for _ in range(EPOCHS)])
    error = batches.std(axis=0, ddof=1) / np.sqrt(EPOCHS)
    return np.abs(batches.mean(axis=0) - gradients.mean(axis=0)) / error


@pytest.mark.parametrize("place", [0, 4, -1])
@pytest.mark.parametrize("pairs_per_target", [1, 4, 16])
def test_the_expected_gradient_is_the_full_gradient(
    place: int,
    pairs_per_target: int,
    target_index: NDArray[np.int64],
    gradients: NDArray[np.float64],
) -> None:
    sampler = GroupedBatches(target_index, BATCH, pairs_per_target, seed=2)
    found = deviation(lambda: list(sampler)[place], gradients)
    assert found.max() < LIMIT


def test_a_sampler_that_favours_small_targets_is_found_out(
    target_index: NDArray[np.int64], gradients: NDArray[np.float64]
) -> None:
    """Targets at random, then pairs of each: the obvious way to group, and biased."""
    generator = np.random.default_rng(3)
    targets = np.unique(target_index)

    def draw() -> NDArray[np.int64]:
        chosen = generator.choice(targets, size=BATCH // 4)
        return np.concatenate(
            [generator.choice(np.flatnonzero(target_index == target), 4) for target in chosen]
        )

    assert deviation(draw, gradients).max() > 2 * LIMIT


def test_leaving_out_the_last_groups_of_large_targets_is_found_out(
    target_index: NDArray[np.int64], gradients: NDArray[np.float64]
) -> None:
    generator = np.random.default_rng(4)
    capped = np.concatenate(
        [np.flatnonzero(target_index == target)[:8] for target in np.unique(target_index)]
    )
    found = deviation(lambda: generator.choice(capped, BATCH, replace=False), gradients)
    assert found.max() > 2 * LIMIT
