"""Cases of the network itself: encoding, a training step, an epoch."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from stages.dti.benchmarking.flops import (
    BACKWARD_AND_FORWARD,
    PairCounts,
    drug_flop,
    explicit_flop,
    reference_flop,
    target_flop,
)
from stages.dti.benchmarking.inputs import Inputs, take
from stages.dti.benchmarking.measure import Case, Group, Variant
from stages.dti.benchmarking.published import (
    PaddedDrugBAN,
    padded_batch,
    padded_drugs,
    padded_targets,
)
from stages.dti.benchmarking.sizes import NetworkSizes
from stages.dti.benchmarking.worker import Run
from stages.dti.config.model import DrugBANConfig
from stages.dti.config.trainer import TrainConfig, TrainerConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import DrugFeatures, PairData, Scalers, TargetFeatures
from stages.dti.features.targets import featurize_targets
from stages.dti.models.base import FitContext, Precision
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from stages.dti.training.fit import fit

LETTERS = "ACDEFGHIKLMNPQRSTVWY"

STEP_BATCHES = 8
"""Different batches that a training step goes through in turn, so that none is in a cache."""

EPOCHS = 2
"""The first one warms up; the second one is timed."""


def precisions(inputs: Inputs) -> list[Precision]:
    """Return what is measured here."""
    return ["float32", "bf16"] if inputs.bf16 else ["float32"]


def autocast(precision: Precision) -> AbstractContextManager[object]:
    """Let matrix products run in ``precision``, as training does."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


@dataclass(frozen=True)
class Encoding:
    """Drugs or targets to encode; ``padded`` is the reference's length."""

    network: DrugBANConfig
    features: DrugFeatures | TargetFeatures
    scalers: Scalers
    precision: Precision
    padded: int


def encode_drugs_case(inputs: Inputs) -> Case:
    """Chains of carbon: time depends on how many atoms there are, not on which."""
    settings, groups = inputs.settings, []
    for atoms in settings.sizes.atoms:
        count = settings.sizes.encoded
        features, _ = featurize_drugs(["C" * atoms] * count, inputs.data.features)
        groups.append(
            _encoding_group(
                inputs,
                {"drugs": count, "atoms_per_drug": atoms},
                features,
                settings.padded_atoms,
                drug_flop(inputs.sizes, count * atoms),
                drug_flop(inputs.sizes, count * settings.padded_atoms),
            )
        )
    what = "Encode and project drugs (forward pass), each one different"
    return Case("encode_drugs", what, "drugs", "atoms_per_drug", groups)


def encode_targets_case(inputs: Inputs) -> Case:
    """Sequences of random letters, each one different."""
    settings, groups = inputs.settings, []
    letters = np.random.default_rng(0)
    for residues in settings.sizes.residues:
        count = settings.sizes.encoded
        drawn = letters.choice(list(LETTERS), (count, residues))
        features, _ = featurize_targets(["".join(row) for row in drawn], inputs.data.features)
        groups.append(
            _encoding_group(
                inputs,
                {"targets": count, "residues_per_target": residues},
                features,
                settings.padded_residues,
                target_flop(inputs.sizes, count * residues, one_hot=True),
                target_flop(inputs.sizes, count * settings.padded_residues, one_hot=False),
            )
        )
    what = "Encode and project targets (forward pass), each one different"
    return Case("encode_targets", what, "targets", "residues_per_target", groups)


def _encoding_group(
    inputs: Inputs,
    size: dict[str, float],
    features: DrugFeatures | TargetFeatures,
    padded: int,
    flop: int,
    reference_flop: int,
) -> Group:
    def work(precision: Precision) -> Encoding:
        scalers = inputs.data.train.scalers
        return Encoding(inputs.network, features, scalers, precision, padded)

    count = len(features)
    reference = Variant(
        "reference", prepare_reference_encoding, work("float32"), count, reference_flop / 1e9
    )
    ours = [
        Variant(name, prepare_encoding, work(name), count, flop / 1e9, name)
        for name in precisions(inputs)
    ]
    return Group(size, [reference, *ours])


def prepare_encoding(work: Encoding) -> Run:
    """The engine: packed real rows."""
    network = DrugBANNetwork(work.network).eval()
    rows = np.arange(len(work.features))

    def run() -> None:
        with torch.inference_mode(), autocast(work.precision):
            joiner = network.interaction.joiner()
            if isinstance(work.features, DrugFeatures):
                drugs = network.drug_encoder.collect(work.features, rows, work.scalers)
                network.encode_drugs(drugs, joiner)
            else:
                targets = network.target_encoder.collect(work.features, rows, work.scalers)
                joiner.target(network.target_encoder(targets))

    return run


def prepare_reference_encoding(work: Encoding) -> Run:
    """The published form: padded rows."""
    network = PaddedDrugBAN(NetworkSizes.of(work.network)).eval()
    rows = np.arange(len(work.features))

    def run() -> None:
        with torch.inference_mode():
            if isinstance(work.features, DrugFeatures):
                network.encode_drugs(padded_drugs(work.features, rows, work.padded))
            else:
                network.encode_targets(padded_targets(work.features, rows, work.padded))

    return run


@dataclass(frozen=True)
class Steps:
    """Batches to train on, one per run, in turn."""

    network: DrugBANConfig
    trainer: TrainerConfig
    data: PairData
    batches: Sequence[NDArray[np.int64]]
    precision: Precision
    padded_atoms: int
    padded_residues: int
    seed: int


def steps(inputs: Inputs, pairs: int, precision: Precision = "float32") -> Steps:
    """Return training steps on batches of ``pairs`` pairs, as training draws them."""
    settings = inputs.settings
    return Steps(
        inputs.network,
        inputs.trainer,
        inputs.data.train,
        [rows[:pairs] for rows in inputs.batches(inputs.data.train, pairs)[:STEP_BATCHES]],
        precision,
        settings.padded_atoms,
        settings.padded_residues,
        inputs.train.seed,
    )


def train_step_case(inputs: Inputs) -> Case:
    """A step as training takes it, from row numbers to new weights."""
    groups = [
        Group(
            {"batch_pairs": pairs},
            [
                reference_step(inputs, pairs),
                *(engine_step(inputs, pairs, name, name) for name in precisions(inputs)),
            ],
        )
        for pairs in inputs.settings.sizes.step_pairs
    ]
    what = "One training step on the pipeline's pairs: collate, forward, backward, optimiser"
    return Case("train_step", what, "pairs", "batch_pairs", groups)


def reference_step(inputs: Inputs, pairs: int) -> Variant:
    """Return a training step of the reference."""
    settings = inputs.settings
    work = steps(inputs, pairs)
    mean = float(np.mean([len(rows) for rows in work.batches]))
    one = PairCounts.padded(1, settings.padded_atoms, settings.padded_residues)
    gflop = BACKWARD_AND_FORWARD * mean * reference_flop(inputs.sizes, one) / 1e9
    return Variant("reference", prepare_reference_step, work, mean, gflop)


def engine_step(inputs: Inputs, pairs: int, name: str, precision: Precision) -> Variant:
    """Return a training step of the engine."""
    work = steps(inputs, pairs, precision)
    gflop = training_gflop(inputs.sizes, work.data, work.batches) / len(work.batches)
    mean = float(np.mean([len(rows) for rows in work.batches]))
    # Each batch once: when training begins, oneDNN prepares a product for every new shape.
    return Variant(name, prepare_step, work, mean, gflop, precision, warm_ups=len(work.batches))


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
        if work.trainer.gradient_clip_norm:
            torch.nn.utils.clip_grad_norm_(network.parameters(), work.trainer.gradient_clip_norm)
        optimizer.step()

    return run


def prepare_reference_step(work: Steps) -> Run:
    """The published step: padded, float32, Adam."""
    torch.manual_seed(work.seed)
    network = PaddedDrugBAN(NetworkSizes.of(work.network)).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=work.trainer.learning_rate)
    batches = cycle(work.batches)

    def run() -> None:
        batch = padded_batch(work.data, next(batches), work.padded_atoms, work.padded_residues)
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
    train: TrainConfig
    data: PairData
    validation: PairData


def epoch_case(inputs: Inputs) -> Case:
    """The configured trainer; the reference takes a few steps at the same batch size."""
    train, batch_size = inputs.data.train, inputs.trainer.batch_size
    chosen = np.random.default_rng(inputs.train.seed).permutation(len(train))
    trainer = inputs.trainer.model_copy(update={"max_epochs": EPOCHS, "patience_epochs": EPOCHS})
    sizes = sorted({min(size, len(train)) for size in inputs.settings.sizes.epoch_pairs})
    wide = trainer.precision == "32-true" or (trainer.precision == "auto" and not inputs.bf16)
    precision: Precision = "float32" if wide else "bf16"
    groups = []
    for size in sizes:
        work = Epoch(
            inputs.network,
            trainer,
            inputs.train,
            take(train, chosen[:size]),
            inputs.data.validation,
        )
        # Of crops the residues are not known beforehand.
        gflop = (
            None
            if trainer.crop_residues
            else training_gflop(inputs.sizes, work.data, inputs.batches(work.data, batch_size))
        )
        ours = Variant(
            "configured",
            prepare_epoch,
            work,
            size,
            gflop,
            precision,
            warm_ups=0,
        )
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
                seed=work.train.seed,
                threads=work.train.threads,
                workdir=Path(scratch),
                on_epoch=on_epoch,
            )
            fit(work.network, work.trainer, work.data, work.validation, context)
        return ends[1] - ends[0]

    return run
