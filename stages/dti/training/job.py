"""One fit of DrugBAN before it runs: its data, its settings and its streams of random numbers.

``fit.py`` says which function fits which model; a job is what the training loop is given. Every
stream is seeded anew from the seed, its purpose and its place (epoch, batch, process), so that it
does not matter what was drawn before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.dti.config.model import DrugBANConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.training.domain import DomainAdaptation
from stages.dti.training.sampling import GroupedBatches

_PAIRS, _CROPS, _DROPOUT, _STATISTICS, _TARGET_PAIRS = range(5)
"""What a stream of random numbers is for."""


@dataclass(frozen=True)
class Job:
    """What is fitted, on which pairs, and how.

    Attributes:
        checkpoint: a folder that holds the state after each epoch, if there is to be one.
        until_stale: stop early; a fit that wants every cycle's snapshot does not.
    """

    model: DrugBANConfig
    settings: TrainerConfig
    train: PairData
    validation: PairData
    adaptation: DomainAdaptation | None
    seed: int
    checkpoint: Path | None
    until_stale: bool = True

    @property
    def batches(self) -> int:
        """Batches per epoch."""
        return len(self._sampler(self.train))

    @property
    def total_steps(self) -> int:
        """Optimiser steps of all epochs."""
        return -(-self.batches // self.settings.accumulate_batches) * self.settings.max_epochs

    def train_rows(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of each batch of train."""
        sampler = self._sampler(self.train)
        sampler.generator = self._random(_PAIRS, epoch)
        return iter(sampler)

    def statistics_rows(self) -> Iterator[NDArray[np.int64]]:
        """Yield rows of train in batches like those of the training steps."""
        sampler = self._sampler(self.train)
        sampler.generator = self._random(_STATISTICS)
        return iter(sampler)

    def target_rows(self, epoch: int) -> Iterator[NDArray[np.int64]]:
        """Yield rows of the pairs to adapt to, pass after pass without end."""
        assert self.adaptation is not None
        sampler = self._sampler(self.adaptation.pairs)
        sampler.generator = self._random(_TARGET_PAIRS, epoch)
        return chain.from_iterable(repeat(sampler))

    def crops(self, epoch: int, batch: int, process: int) -> np.random.Generator:
        """Return what a process draws the places of a batch's crops from."""
        return self._random(_CROPS, epoch, batch, process)

    def torch_seed(self, epoch: int, process: int) -> int:
        """Return the seed of torch's own numbers in an epoch: dropout."""
        return int(self._random(_DROPOUT, epoch, process).integers(2**62))

    def _random(self, purpose: int, *place: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, *place])

    def _sampler(self, pairs: PairData) -> GroupedBatches:
        settings = self.settings
        return GroupedBatches(
            pairs.target_index, settings.batch_size, settings.pairs_per_target, self.seed
        )
