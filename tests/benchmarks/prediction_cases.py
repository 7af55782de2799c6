"""Cases of predicting: one pair, a batch, a screen, and a screen from a cold start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import DrugFeatures, PairData, TargetFeatures
from stages.dti.features.targets import featurize_targets
from stages.dti.models.base import Precision
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from stages.dti.paths import ROOT
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair
from tests.benchmarks.flops import PairCounts, explicit_flop, gram_flop, reference_flop
from tests.benchmarks.inputs import Inputs, random_sequence
from tests.benchmarks.measure import Case, Group, Variant
from tests.benchmarks.worker import Elsewhere, Run
from tests.reference.padded import padded_batch, with_weights_of
from tests.reference.published import PublishedDrugBAN
from tests.reference.sizes import NetworkSizes, Padding, published_network

PADDED_BATCH = 16
"""Padded pairs that are scored at once; with more it is no faster."""


@dataclass(frozen=True)
class Predicting:
    """Pairs to predict, as SMILES and sequence."""

    model_folder: Path
    pairs: Sequence[tuple[str, str]]
    padding: Padding


@dataclass(frozen=True)
class Screening:
    """All drugs against all targets."""

    model_folder: Path
    drugs: DrugFeatures
    targets: TargetFeatures
    precision: Precision
    padding: Padding

    @property
    def pairs(self) -> int:
        """Return how many pairs that is."""
        return len(self.drugs) * len(self.targets)


@dataclass(frozen=True)
class ColdStart:
    """A library to rank for one target, in a process that has yet to start."""

    model_folder: Path
    drugs: int
    target_id: str


def predict_one_case(inputs: Inputs) -> Case:
    """One pair, from SMILES and sequence to the whole answer."""
    letters, groups = np.random.default_rng(0), []
    (smiles, _), *_ = inputs.some_pairs(1)
    for residues in inputs.settings.sizes.residues:
        pair = (smiles, random_sequence(letters, residues))
        groups.append(_predicting_group(inputs, {"residues": residues}, [pair], 1))
    what = (
        "Predictor.predict for one pair: standardise, featurize, score, calibrate, compare with "
        "train; the reference: featurize and score"
    )
    return Case("predict_one", what, "pairs", "residues", groups)


def predict_batch_case(inputs: Inputs) -> Case:
    """Pairs of the training data."""
    few = inputs.settings.reference_pairs
    groups = [
        _predicting_group(inputs, {"predicted_pairs": count}, inputs.some_pairs(count), few)
        for count in inputs.settings.sizes.predicted_pairs
    ]
    what = (
        "Predictor.predict for many pairs at once; the reference: featurize and score, "
        f"{few} pairs at the most"
    )
    return Case("predict_batch", what, "pairs", "predicted_pairs", groups)


def _predicting_group(
    inputs: Inputs, size: dict[str, float], pairs: list[tuple[str, str]], few: int
) -> Group:
    def work(some: list[tuple[str, str]]) -> Predicting:
        return Predicting(inputs.model_folder, some, inputs.settings.padding)

    part = pairs[:few]
    gflop = explicit_flop(inputs.sizes, _counts(inputs, pairs)) / 1e9
    return Group(
        size,
        [
            Variant(
                "reference",
                prepare_reference_prediction,
                work(part),
                len(part),
                _reference_gflop(inputs, len(part)),
            ),
            Variant("predictor", prepare_prediction, work(pairs), len(pairs), gflop),
        ],
    )


def _reference_gflop(inputs: Inputs, pairs: int) -> float:
    counts = PairCounts.padded(pairs, inputs.settings.padding)
    return reference_flop(inputs.sizes, counts) / 1e9


def _counts(inputs: Inputs, pairs: list[tuple[str, str]]) -> PairCounts:
    return PairCounts.of(inputs.pair_data(pairs), np.arange(len(pairs)))


def prepare_prediction(work: Predicting) -> Run:
    """The Predictor, as the service calls it."""
    predictor = Predictor.load(work.model_folder)
    pairs = [Pair(*pair) for pair in work.pairs]

    def run() -> None:
        predictor.predict(pairs)

    return run


def prepare_reference_prediction(work: Predicting) -> Run:
    """The padded network on freshly made features."""
    predictor = Predictor.load(work.model_folder)
    features = predictor.content.features
    reference = with_weights_of(*_network(predictor))

    def run() -> None:
        smiles = [text for text, _ in work.pairs]
        drugs, _ = featurize_drugs(smiles, features, with_descriptors=False)
        targets, _ = featurize_targets([sequence for _, sequence in work.pairs], features)
        rows = np.arange(len(work.pairs))
        data = PairData(drugs, targets, predictor.content.scalers, rows, rows)
        _score_padded(reference, data, work.padding)

    return run


def screen_case(inputs: Inputs) -> Case:
    """Approved drugs, and then training drugs, against the data's targets, encoding included."""
    settings, groups = inputs.settings, []
    for drug_count, target_count in zip(
        settings.sizes.screen_drugs, settings.sizes.screen_targets, strict=True
    ):
        smiles = inputs.screened_drugs(drug_count)
        sequences = inputs.target_sequences(target_count)
        whole = _screening(inputs, smiles, sequences)
        part = _screening(
            inputs, smiles[: settings.explicit_drugs], sequences[: settings.explicit_targets]
        )
        few = _screening(inputs, smiles[: settings.reference_pairs], sequences[:1])
        explicit = explicit_flop(inputs.sizes, _all_pairs(part)) / 1e9
        gram = gram_flop(inputs.sizes, _all_pairs(whole)) / 1e9
        size: dict[str, float] = {
            "drugs": len(whole.drugs),
            "approved_drugs": min(len(whole.drugs), len(inputs.library)),
            "targets": len(whole.targets),
            "drug_target_pairs": whole.pairs,
        }
        variants = [
            Variant(
                "reference",
                prepare_reference_screen,
                few,
                few.pairs,
                _reference_gflop(inputs, few.pairs),
            ),
            Variant("published", prepare_published_screen, few, few.pairs),
            Variant("explicit_float32", prepare_explicit_screen, part, part.pairs, explicit),
        ]
        for name in inputs.precisions:
            work = replace(whole, precision=name)
            variants.append(Variant(f"matrix_{name}", prepare_screen, work, work.pairs, gram, name))
        groups.append(Group(size, variants))
    what = (
        "All drugs against all targets by Model.matrix, encoding included; explicit: merged "
        "heads, one map per pair, on a part of them; the reference and the published network: "
        "pair by pair, on a few"
    )
    return Case("screen", what, "pairs", "drug_target_pairs", groups)


def _screening(inputs: Inputs, smiles: list[str], sequences: list[str]) -> Screening:
    features = inputs.data.features
    drugs, _ = featurize_drugs(smiles, features, with_descriptors=False, processes=None)
    targets, _ = featurize_targets(sequences, features)
    padding = inputs.settings.padding
    return Screening(inputs.model_folder, drugs, targets, "float32", padding)


def _all_pairs(work: Screening) -> PairCounts:
    atoms, residues = int(work.drugs.atom_offsets[-1]), int(work.targets.residue_offsets[-1])
    return PairCounts(work.pairs, atoms, residues, atoms * residues)


def _network(predictor: Predictor) -> tuple[DrugBANNetwork, NetworkSizes]:
    model = predictor.content.model
    assert isinstance(model, DrugBAN)
    return model.network, NetworkSizes.of(published_network(predictor.content.config))


def _pairs(work: Screening, predictor: Predictor) -> PairData:
    pairs = list(product(range(len(work.drugs)), range(len(work.targets))))
    drug, target = np.array(pairs, dtype=np.int64).T
    return PairData(work.drugs, work.targets, predictor.content.scalers, drug, target)


def prepare_screen(work: Screening) -> Run:
    """The Gram form."""
    content = Predictor.load(work.model_folder).content

    def run() -> None:
        content.model.matrix(work.drugs, work.targets, content.scalers, work.precision)

    return run


def prepare_explicit_screen(work: Screening) -> Run:
    """Each drug and target encoded once, then one map per pair."""
    predictor = Predictor.load(work.model_folder)
    network, _ = _network(predictor)
    data = _pairs(work, predictor)

    def run() -> None:
        with torch.inference_mode():
            network(pair_batch(data, np.arange(len(data)), network))

    return run


def prepare_reference_screen(work: Screening) -> Run:
    """The padded network, pair by pair."""
    predictor = Predictor.load(work.model_folder)
    reference, data = with_weights_of(*_network(predictor)), _pairs(work, predictor)
    return lambda: _score_padded(reference, data, work.padding)


def prepare_published_screen(work: Screening) -> Run:
    """The published network, pair by pair, with random weights."""
    predictor = Predictor.load(work.model_folder)
    _, sizes = _network(predictor)
    published, data = PublishedDrugBAN(sizes).eval(), _pairs(work, predictor)
    return lambda: _score_padded(published, data, work.padding)


def _score_padded(network: nn.Module, data: PairData, padding: Padding) -> None:
    with torch.inference_mode():
        for start in range(0, len(data), PADDED_BATCH):
            rows = np.arange(start, min(start + PADDED_BATCH, len(data)))
            network(padded_batch(data, rows, padding))


def cold_start_case(inputs: Inputs) -> Case:
    """From the start of an interpreter to its end."""
    targets = inputs.data.reference.targets
    (target_id,) = targets.loc[targets["in_train"], "target_id"][:1]
    sizes = sorted({min(size, len(inputs.library)) for size in inputs.settings.sizes.cold_drugs})
    groups = [
        Group(
            {"library_drugs": size},
            [
                Variant(
                    "fresh_process",
                    prepare_cold_start,
                    ColdStart(inputs.model_folder, size, target_id),
                    work=size,
                )
            ],
        )
        for size in sizes
    ]
    what = (
        "Rank approved drugs for one target in a fresh process: start Python, import, load the "
        "model, featurize, score, exit"
    )
    return Case("cold_start", what, "drugs", "library_drugs", groups)


def prepare_cold_start(work: ColdStart) -> Run:
    """Run the module ``cold_start`` as a program."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.cold_start",
        str(work.model_folder),
        str(work.drugs),
        work.target_id,
    ]

    def run() -> Elsewhere:
        started = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        return Elsewhere(seconds, float(done.stdout.splitlines()[-1]))

    return run
