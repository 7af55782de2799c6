"""Drugs and targets as a model scores them, one by one, and the keys by which they can be kept.

A ``Predictor`` encodes each drug and each target by itself and then scores pairs of them. What is
encoded depends on the model and on the key alone, to the last bit: on nothing that stands beside
it. So it may be kept by its key, and used for whatever pairs come later. The keys need no weights
and no torch, so that a process that holds no model can tell which are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.dti.config.standardise import StandardiseConfig
from stages.dti.data.sequences import clean_sequence
from stages.dti.data.standardise import standardise_smiles
from stages.dti.errors import InvalidInputError
from stages.dti.features.store import DrugFeatures, TargetFeatures
from stages.dti.known_targets import KnownTargets
from stages.dti.models.base import Encoding
from stages.dti.prediction import Target


@dataclass(frozen=True)
class CanonicalKeys:
    """The keys of what callers give: whatever has one key gets one answer.

    Attributes:
        standardise: the model's own section, from its description.
        known_targets: the targets that it knows.
    """

    standardise: StandardiseConfig
    known_targets: KnownTargets

    def drug(self, smiles: str) -> str:
        """Return the canonical, standardised SMILES.

        Raises:
            InvalidInputError: it is no molecule, or above a limit.
        """
        return standardise_smiles(smiles, self.standardise)

    def target(self, target: Target) -> str:
        """Return the exact sequence, without white space and in upper case.

        Raises:
            InvalidInputError: it is no sequence, or outside the limits; or the model knows no
                target of that id or name.
        """
        if target.sequence:
            limits = self.standardise
            return clean_sequence(target.sequence, limits.min_residues, limits.max_residues)
        if not target.target_id:
            raise InvalidInputError("the target has neither a sequence nor an id")
        known = self.known_targets
        return str(known.table["sequence"].iloc[known.find(target.target_id)])


@dataclass(frozen=True)
class EncodedDrug:
    """All that scoring reads of one drug.

    Attributes:
        smiles: its key.
        features: one row.
        encoding: what the model made of them.
        similarity: the largest Tanimoto similarity to a drug in train.
    """

    smiles: str
    features: DrugFeatures
    encoding: Encoding
    similarity: float


@dataclass(frozen=True)
class EncodedTarget:
    """All that scoring reads of one target.

    Attributes:
        sequence: its key.
        features: one row.
        encoding: what the model made of them.
        similarity: the largest sequence similarity to a target in train.
    """

    sequence: str
    features: TargetFeatures
    encoding: Encoding
    similarity: float
