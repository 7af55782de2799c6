"""One fit of DrugBAN before it runs: its pairs, its settings, its streams of random numbers.

Every stream is seeded anew from the seed, its purpose and its place (epoch, batch, process), so
that it does not matter what was drawn before: a fit that is resumed draws what an uninterrupted
one draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from stages.dti.config.model import DrugBANConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.training.domain import DomainAdaptation
from stages.dti.training.lightning_module import Scored, Step
from stages.dti.training.processes import Process
from stages.dti.training.samplers import EpochSteps, GroupedBatches, Rows, StepRows
from stages.dti.training.synchronised import shared_batch

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

    def train_rows(self, epoch: int) -> Iterator[Rows]:
        """Yield the rows of each batch of train."""
        sampler = self._sampler(self.train)
        sampler.generator = self._random(_PAIRS, epoch)
        return iter(sampler)

    def statistics_rows(self) -> Iterator[Rows]:
        """Yield rows of train in batches like those of the training steps."""
        sampler = self._sampler(self.train)
        sampler.generator = self._random(_STATISTICS)
        return iter(sampler)

    def target_rows(self, epoch: int) -> Iterator[Rows]:
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


class TrainSteps(Dataset[Step]):
    """From a step's rows to this process's share of its batches."""

    def __init__(self, job: Job, network: DrugBANNetwork, process: Process) -> None:
        self._job, self._network, self._process = job, network, process

    def __getitem__(self, step: StepRows) -> Step:
        job, adaptation = self._job, self._job.adaptation
        random = job.crops(step.epoch, step.number, self._process.rank)
        crop = job.settings.crop_residues
        source = shared_batch(self._process, job.train, step.rows, self._network, crop, random)
        if step.target_rows is None:
            return Step(source, len(step.rows))
        assert adaptation is not None
        start = adaptation.config.start_epoch * job.batches
        span = max(1, job.settings.max_epochs * job.batches - start - 1)
        return Step(
            source,
            len(step.rows),
            shared_batch(
                self._process, adaptation.pairs, step.target_rows, self._network, crop, random
            ),
            len(step.target_rows),
            (step.epoch * job.batches + step.number - start) / span,
        )


class ValidationBatches(Dataset[Scored]):
    """All pairs of validation in batches sorted by target, this process's share of each."""

    def __init__(self, job: Job, network: DrugBANNetwork, process: Process) -> None:
        self._pairs, self._network, self._process = job.validation, network, process
        order = np.argsort(job.validation.target_index, kind="stable")
        self._batches: list[NDArray[Any]] = np.array_split(
            order, max(1, len(order) // job.settings.batch_size)
        )

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> Scored:
        rows = self._batches[number]
        own = self._process.share(rows)
        if not len(own):
            return Scored(own, None)
        return Scored(own, shared_batch(self._process, self._pairs, rows, self._network))


def loaders(
    job: Job, network: DrugBANNetwork, process: Process
) -> tuple[DataLoader[Step], DataLoader[Scored]]:
    """Return what yields the training steps of an epoch, and the batches of validation."""
    adaptation = job.adaptation
    steps = EpochSteps(
        job.batches,
        job.train_rows,
        None if adaptation is None else job.target_rows,
        0 if adaptation is None else adaptation.config.start_epoch,
    )
    # A loader seeds its workers, even if it has none; torch's own numbers are those of dropout.
    aside = torch.Generator()
    train: DataLoader[Step] = DataLoader(
        TrainSteps(job, network, process),
        sampler=steps,
        batch_size=None,
        generator=aside,
    )
    validation: DataLoader[Scored] = DataLoader(
        ValidationBatches(job, network, process), batch_size=None, generator=aside
    )
    return train, validation
