"""Batches that keep a few pairs of one target together, so that fewer targets are encoded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


class GroupedBatches(Sampler[NDArray[np.int64]]):
    """Every pair exactly once per epoch, in a new order each epoch.

    A target's pairs are shuffled and cut into groups of ``pairs_per_target``; the groups are
    shuffled and put into batches. Every pair is equally likely in every batch, so the expected
    gradient is that of plain shuffling; only the variance within a batch differs.
    """

    def __init__(
        self, target_index: NDArray[np.int64], batch_size: int, pairs_per_target: int, seed: int
    ) -> None:
        self.target_index = np.asarray(target_index)
        self.batch_size = batch_size
        self.pairs_per_target = pairs_per_target
        self.generator = np.random.default_rng(seed)

    def __len__(self) -> int:
        pairs = len(self.target_index)
        # At least two pairs in each, whatever the rounding: batch norm has no variance of one.
        return max(1, min(round(pairs / self.batch_size), pairs // 2))

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        shuffled = self.generator.permutation(len(self.target_index))
        by_target = shuffled[np.argsort(self.target_index[shuffled], kind="stable")]
        cuts = np.flatnonzero(np.diff(self.target_index[by_target])) + 1
        groups = [
            run[start : start + self.pairs_per_target]
            for run in np.split(by_target, cuts)
            for start in range(0, len(run), self.pairs_per_target)
        ]
        order = self.generator.permutation(len(groups))
        rows = np.concatenate([groups[i] for i in order])
        # Equal batches, so that no small last one has noisy batch-norm statistics.
        yield from np.array_split(rows, len(self))
