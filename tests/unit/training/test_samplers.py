"""Batches that group pairs by target lose and repeat nothing."""

from __future__ import annotations

import numpy as np
import pytest

from stages.dti.training.samplers import GroupedBatches


@pytest.fixture
def target_index() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 17, size=500)


def test_every_pair_exactly_once_per_epoch(target_index: np.ndarray) -> None:
    batches = list(GroupedBatches(target_index, 64, 4, seed=0))
    assert sorted(np.concatenate(batches)) == list(range(500))
    assert {len(batch) for batch in batches} <= {62, 63}
    assert len(batches) == len(GroupedBatches(target_index, 64, 4, seed=0))


def test_grouping_encodes_fewer_targets_than_plain_shuffling() -> None:
    target_index = np.random.default_rng(1).integers(0, 400, size=4000)

    def targets_per_batch(pairs_per_target: int) -> float:
        sampler = GroupedBatches(target_index, 64, pairs_per_target, seed=0)
        return float(np.mean([len(np.unique(target_index[batch])) for batch in sampler]))

    assert targets_per_batch(4) < 0.5 * targets_per_batch(1)


def test_epochs_differ_and_seeds_reproduce(target_index: np.ndarray) -> None:
    sampler = GroupedBatches(target_index, 64, 4, seed=3)
    first, second = np.concatenate(list(sampler)), np.concatenate(list(sampler))
    again = np.concatenate(list(GroupedBatches(target_index, 64, 4, seed=3)))
    assert (first == again).all()
    assert (first != second).any()


def test_every_pair_is_equally_likely_in_the_first_batch(target_index: np.ndarray) -> None:
    """No pair is favoured by its target's size: the expected gradient is that of shuffling."""
    sampler = GroupedBatches(target_index, 50, 4, seed=0)
    epochs = 3000
    counts = np.zeros(len(target_index))
    for _ in range(epochs):
        counts[next(iter(sampler))] += 1
    expected = epochs * 50 / 500
    # Standard deviation of a count is about sqrt(300 * 0.9) = 16; the largest of 500 stays below 5.
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected * 0.9)
    sizes = np.bincount(target_index)[target_index]
    assert abs(np.corrcoef(sizes, counts)[0, 1]) < 0.15


def test_fewer_pairs_than_a_batch_make_one_batch() -> None:
    batches = list(GroupedBatches(np.array([0, 0, 1]), 64, 4, seed=0))
    assert [sorted(batch) for batch in batches] == [[0, 1, 2]]
