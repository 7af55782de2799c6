"""Cases of training: a step, an epoch."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from stages.dti.config.model import DrugBANConfig
from stages.dti.config.reproducibility import ReproducibilityConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, Precision
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from stages.dti.training.train import train_model
from tests.benchmarks.flops import (
    BACKWARD_AND_FORWARD,
    PairCounts,
    explicit_flop,
    reference_flop,
)
from tests.benchmarks.inputs import Inputs, autocast, take
from tests.benchmarks.measure import Case, Group, Variant
from tests.benchmarks.worker import Run
from tests.reference.padded import PaddedDrugBAN, padded_batch
from tests.reference.published import PublishedDrugBAN
from tests.reference.sizes import NetworkSizes, Padding

STEP_BATCHES = 8
"""Different batches that a training step goes through in turn, so that none is in a cache."""

EPOCHS = 2
"""The first one warms up; the second one is timed."""


@dataclass(frozen=True)
class Steps:
    """Batches to train on, one per run, in turn."""

    network: DrugBANConfig
    trainer: TrainerConfig
    data: PairData
    batches: Sequence[NDArray[np.int64]]
    precision: Precision
    padding: Padding
    seed: int

    @property
    def mean_pairs(self) -> float:
        """Return the pairs of a batch, on average."""
        return float(np.mean([len(rows) for rows in self.batches]))


def steps(inputs: Inputs, pairs: int, precision: Precision = "float32") -> Steps:
    """Return training steps on batches of ``pairs`` pairs, as training draws them."""
    return Steps(
        inputs.network,
        inputs.trainer,
        inputs.data.train,
        [rows[:pairs] for rows in inputs.batches(inputs.data.train, pairs)[:STEP_BATCHES]],
        precision,
        inputs.settings.padding,
        inputs.reproducibility.seed,
    )


def train_step_case(inputs: Inputs) -> Case:
    """A step as training takes it, from row numbers to new weights."""
    groups = [
        Group(
            {"batch_pairs": pairs},
            [
                reference_step(inputs, pairs),
                published_step(inputs, pairs),
                *(engine_step(inputs, pairs, name, name) for name in inputs.precisions),
            ],
        )
        for pairs in inputs.settings.sizes.step_pairs
    ]
    what = "One training step on the pipeline's pairs: collate, forward, backward, optimiser"
    return Case("train_step", what, "pairs", "batch_pairs", groups)


def reference_step(inputs: Inputs, pairs: int) -> Variant:
    """Return a training step of the padded form."""
    work = steps(inputs, pairs)
    one = PairCounts.padded(1, work.padding)
    gflop = BACKWARD_AND_FORWARD * work.mean_pairs * reference_flop(inputs.sizes, one) / 1e9
    return Variant("reference", prepare_reference_step, work, work.mean_pairs, gflop)


def published_step(inputs: Inputs, pairs: int) -> Variant:
    """Return a training step of the network as its authors publish it."""
    work = steps(inputs, pairs)
    return Variant("published", prepare_published_step, work, work.mean_pairs)


def engine_step(inputs: Inputs, pairs: int, name: str, precision: Precision) -> Variant:
    """Return a training step of the engine."""
    work = steps(inputs, pairs, precision)
    gflop = training_gflop(inputs.sizes, work.data, work.batches) / len(work.batches)
    # Each batch once: when training begins, oneDNN prepares a product for every new shape.
    warm_ups = len(work.batches)
    return Variant(name, prepare_step, work, work.mean_pairs, gflop, precision, warm_ups)


def training_gflop(
    sizes: NetworkSizes, data: PairData, batches: Sequence[NDArray[np.int64]]
) -> float:
    """Return the operations of one step on each of ``batches``, in 10⁹."""
    counts = [PairCounts.of(data, rows) for rows in batches]
    return BACKWARD_AND_FORWARD * sum(explicit_flop(sizes, count) for count in counts) / 1e9


def prepare_step(work: Steps) -> Run:
    """The engine's step, without Lightning around it."""
    torch.manual_seed(work.seed)
    network = DrugBANNetwork(work.network).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=work.trainer.learning_rate, fused=True)
    batches = cycle(work.batches)

    def run() -> None:
        batch = pair_batch(work.data, next(batches), network)
        assert batch.labels is not None
        optimizer.zero_grad()
        with autocast(work.precision):
            logits = network(batch)
        F.binary_cross_entropy_with_logits(logits.float(), batch.labels).backward()  # type: ignore[no-untyped-call]
        if work.trainer.gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(network.parameters(), work.trainer.gradient_clip_val)
        optimizer.step()

    return run


def prepare_reference_step(work: Steps) -> Run:
    """The padded form's step."""
    torch.manual_seed(work.seed)
    return _padded_step(work, PaddedDrugBAN(NetworkSizes.of(work.network)))


def prepare_published_step(work: Steps) -> Run:
    """The published network's step; its graphs are not made anew from SMILES, as they would be."""
    torch.manual_seed(work.seed)
    return _padded_step(work, PublishedDrugBAN(NetworkSizes.of(work.network)))


def _padded_step(work: Steps, network: torch.nn.Module) -> Run:
    """As published: float32, Adam."""
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=work.trainer.learning_rate)
    batches = cycle(work.batches)

    def run() -> None:
        batch = padded_batch(work.data, next(batches), work.padding)
        assert batch.labels is not None
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(network(batch), batch.labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return run


@dataclass(frozen=True)
class Epoch:
    """A whole epoch of ``fit``, as the ``train`` stage calls it."""

    network: DrugBANConfig
    trainer: TrainerConfig
    reproducibility: ReproducibilityConfig
    data: PairData
    validation: PairData


def epoch_case(inputs: Inputs) -> Case:
    """The configured trainer; the reference takes a few steps at the same batch size."""
    train, batch_size = inputs.data.train, inputs.trainer.batch_size
    chosen = np.random.default_rng(inputs.reproducibility.seed).permutation(len(train))
    trainer = inputs.trainer.model_copy(update={"max_epochs": EPOCHS, "patience_epochs": EPOCHS})
    sizes = sorted({min(size, len(train)) for size in inputs.settings.sizes.epoch_pairs})
    wide = trainer.precision == "32-true" or (trainer.precision == "auto" and not inputs.bf16)
    precision: Precision = "float32" if wide else "bf16"
    groups = []
    for size in sizes:
        part = take(train, chosen[:size])
        work = Epoch(inputs.network, trainer, inputs.reproducibility, part, inputs.data.validation)
        # Of crops the residues are not known beforehand.
        gflop = (
            None
            if trainer.crop_residues
            else training_gflop(inputs.sizes, work.data, inputs.batches(work.data, batch_size))
        )
        ours = Variant("configured", prepare_epoch, work, size, gflop, precision, warm_ups=0)
        few = [reference_step(inputs, min(batch_size, len(train)))] if size == sizes[-1] else []
        groups.append(
            Group({"train_pairs": size, "validation_pairs": len(work.validation)}, [*few, ours])
        )
    what = (
        "One epoch of the configured trainer, its batch-norm statistics and validation included "
        "(in the time, not in the operations); "
        "the reference: training steps alone, one per run"
    )
    return Case("epoch", what, "pairs", "train_pairs", groups)


def prepare_epoch(work: Epoch) -> Run:
    """Fit two epochs; the time is that from the first one's end to the second one's."""

    def run() -> float:
        ends: list[float] = []

        def on_epoch(_metrics: dict[str, float]) -> None:
            ends.append(time.perf_counter())

        with tempfile.TemporaryDirectory() as scratch:
            context = FitContext(
                seed=work.reproducibility.seed,
                threads=work.reproducibility.threads,
                workdir=Path(scratch),
                on_epoch=on_epoch,
            )
            train_model(work.network, work.trainer, work.data, work.validation, context)
        return ends[1] - ends[0]

    return run
