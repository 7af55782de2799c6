"""Drugs and targets as a model scores them, one by one, and the keys by which they can be kept.

A ``Predictor`` encodes each drug and each target by itself and then scores pairs of them. What is
encoded depends on the model and on the key alone, to the last bit: on nothing that stands beside
it. So it may be kept by its key, and used for whatever pairs come later. The keys need no weights
and no torch, so that a process that holds no model can tell which are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stages.dti.chemistry.fingerprints import nearest_tanimoto
from stages.dti.chemistry.kmers import SequenceReference
from stages.dti.chemistry.sequences import clean_sequence
from stages.dti.chemistry.standardise import standardise_smiles
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import InvalidInputError
from stages.dti.features.store import DrugFeatures, Features, TargetFeatures
from stages.dti.models.base import Encoding
from stages.dti.models.registry import reads_descriptors
from stages.dti.prediction.folder import ModelFolder
from stages.dti.prediction.inputs import (
    PreparedInputs,
    featurized_drugs,
    prepare_targets,
)
from stages.dti.prediction.known_targets import KnownTargets
from stages.dti.prediction.rows import one_row
from stages.dti.prediction.types import Target

Made = TypeVar("Made")


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


class Encoder:
    """Encodes drugs and targets for the model of a folder."""

    def __init__(self, content: ModelFolder) -> None:
        self._content = content

    def drugs(self, keys: Sequence[str | InvalidInputError]) -> list[EncodedDrug | str]:
        """Encode each different drug once.

        Args:
            keys: as ``CanonicalKeys`` gives them, or why there is none.

        Returns:
            One per key; in the place of a drug that cannot be encoded, the reason.
        """
        content = self._content
        prepared = featurized_drugs(
            keys, content.features, with_descriptors=reads_descriptors(content.config)
        )
        encodings = content.model.encode_drugs(prepared.features, content.scalers)
        similarity = self.drug_similarity(prepared.features)
        made = [
            EncodedDrug(
                text, one_row(prepared.features, row), encodings[row], float(similarity[row])
            )
            for row, text in enumerate(prepared.texts)
        ]
        return _one_per_key(made, prepared)

    def targets(self, keys: Sequence[str | InvalidInputError]) -> list[EncodedTarget | str]:
        """Encode each different target once; likewise."""
        content = self._content
        prepared = prepare_targets(keys, content.features)
        encodings = content.model.encode_targets(prepared.features, content.scalers)
        similarity = self.target_similarity(prepared.texts)
        made = [
            EncodedTarget(
                text, one_row(prepared.features, row), encodings[row], float(similarity[row])
            )
            for row, text in enumerate(prepared.texts)
        ]
        return _one_per_key(made, prepared)

    def drug_similarity(self, drugs: DrugFeatures) -> NDArray[np.float32]:
        """Return each drug's largest Tanimoto similarity to one in train, ``(drugs,)``."""
        return nearest_tanimoto(drugs.fingerprints, self._content.reference.fingerprints)

    def target_similarity(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        """Return each sequence's largest similarity to a target in train, ``(sequences,)``."""
        return self._sequence_reference.nearest(sequences)

    @cached_property
    def _sequence_reference(self) -> SequenceReference:
        """The targets of train; indexed when first asked for: not every loaded model is."""
        targets = self._content.reference.targets
        return SequenceReference.fit(list(targets.loc[targets["in_train"], "sequence"]))


def _one_per_key(made: Sequence[Made], prepared: PreparedInputs[Features]) -> list[Made | str]:
    """Return what was made of each key's row, or why it has none."""
    return [
        made[row] if row >= 0 else str(reason)
        for row, reason in zip(prepared.rows, prepared.reasons, strict=True)
    ]
