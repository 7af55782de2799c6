"""Which pairs each step of an epoch takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

Rows = NDArray[np.int64]


class GroupedBatches(Sampler[Rows]):
    """Every pair exactly once per epoch, in a new order each epoch.

    A few pairs of one target stay together, so that fewer targets are encoded. A target's pairs are
    shuffled and cut into groups of ``pairs_per_target``; the groups are shuffled and put into
    batches. Every pair is equally likely in every batch, so the expected gradient is that of plain
    shuffling; only the variance within a batch differs.
    """

    def __init__(
        self, target_index: Rows, batch_size: int, pairs_per_target: int, seed: int
    ) -> None:
        self.target_index = np.asarray(target_index)
        self.batch_size = batch_size
        self.pairs_per_target = pairs_per_target
        self.generator = np.random.default_rng(seed)

    def __len__(self) -> int:
        pairs = len(self.target_index)
        # At least two pairs in each, whatever the rounding: batch norm has no variance of one.
        return max(1, min(round(pairs / self.batch_size), pairs // 2))

    def __iter__(self) -> Iterator[Rows]:
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


class StepRows(NamedTuple):
    """The pairs of one step, of all processes together.

    Attributes:
        number: of the step within its epoch, from 0.
        rows: of train.
        target_rows: of the pairs to adapt to; ``None``: this step does not adapt.
    """

    epoch: int
    number: int
    rows: Rows
    target_rows: Rows | None


class EpochSteps(Sampler[StepRows]):
    """The steps of the epoch that ``set_epoch`` named, as the trainer does before each.

    Args:
        steps: of every epoch.
        train_rows: from an epoch to the rows of each of its steps.
        target_rows: likewise of the pairs to adapt to, without end; ``None``: never.
        first_adapting: the first epoch that adapts.
    """

    def __init__(
        self,
        steps: int,
        train_rows: Callable[[int], Iterator[Rows]],
        target_rows: Callable[[int], Iterator[Rows]] | None = None,
        first_adapting: int = 0,
    ) -> None:
        self.epoch = 0
        self._steps = steps
        self._train_rows, self._target_rows = train_rows, target_rows
        self._first_adapting = first_adapting

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is iterated next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[StepRows]:
        epoch = self.epoch
        others: Iterator[Rows | None] = repeat(None)
        if self._target_rows is not None and epoch >= self._first_adapting:
            others = self._target_rows(epoch)
        for number, (rows, other) in enumerate(zip(self._train_rows(epoch), others, strict=False)):
            yield StepRows(epoch, number, rows, other)
