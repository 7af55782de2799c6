"""Cases of encoding: drugs of one size, targets of one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from stages.dti.config.model import DrugBANConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import DrugFeatures, Scalers, TargetFeatures
from stages.dti.features.targets import featurize_targets
from stages.dti.models.base import Precision
from stages.dti.models.drugban.network import DrugBANNetwork
from tests.benchmarks.flops import drug_flop, target_flop
from tests.benchmarks.inputs import Inputs, autocast, random_sequence
from tests.benchmarks.measure import Case, Group, Variant
from tests.benchmarks.worker import Run
from tests.reference.padded import PaddedDrugBAN, padded_drugs, padded_targets
from tests.reference.sizes import NetworkSizes, Padding


@dataclass(frozen=True)
class Encoding:
    """Drugs or targets to encode; ``padding`` is the reference's."""

    network: DrugBANConfig
    features: DrugFeatures | TargetFeatures
    scalers: Scalers
    precision: Precision
    padding: Padding


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
        sequences = [random_sequence(letters, residues) for _ in range(count)]
        features, _ = featurize_targets(sequences, inputs.data.features)
        groups.append(
            _encoding_group(
                inputs,
                {"targets": count, "residues_per_target": residues},
                features,
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
    flop: int,
    reference_flop: int,
) -> Group:
    def work(precision: Precision) -> Encoding:
        scalers = inputs.data.train.scalers
        return Encoding(inputs.network, features, scalers, precision, inputs.settings.padding)

    count = len(features)
    reference = Variant(
        "reference", prepare_reference_encoding, work("float32"), count, reference_flop / 1e9
    )
    ours = [
        Variant(name, prepare_encoding, work(name), count, flop / 1e9, name)
        for name in inputs.precisions
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
    """The padded form."""
    network = PaddedDrugBAN(NetworkSizes.of(work.network)).eval()
    rows = np.arange(len(work.features))

    def run() -> None:
        with torch.inference_mode():
            if isinstance(work.features, DrugFeatures):
                network.encode_drugs(padded_drugs(work.features, rows, work.padding))
            else:
                network.encode_targets(padded_targets(work.features, rows, work.padding))

    return run
