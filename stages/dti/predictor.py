"""The one way to predict: ``evaluate``, batch screening and the HTTP service all call it.

A pair's prediction is the same to the last bit whatever other pairs stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from stages.dti.config.features import FeaturesConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.data.sequences import clean_sequence
from stages.dti.data.similarity import SequenceReference, nearest_tanimoto
from stages.dti.data.standardise import standardise_smiles
from stages.dti.errors import InvalidInputError, ModelError, nearest
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import DrugFeatures, PairData, TargetFeatures
from stages.dti.features.targets import featurize_targets
from stages.dti.lifecycle.provenance import folder_sha256
from stages.dti.model_folder import ModelFolder
from stages.dti.model_loader import load_model_folder

Value = TypeVar("Value")


@dataclass(frozen=True)
class Pair:
    """A drug and a target; the target by its sequence, or by an id that the model knows."""

    smiles: str
    sequence: str | None = None
    target_id: str | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer to one pair.

    Attributes:
        status: ``ok``, or ``invalid`` with a ``reason`` and no numbers.
        smiles: canonical, standardised SMILES that was scored.
        target_id: the id by which the model knows this exact sequence, if it does.
        score: the model's output in [0, 1]; higher = more likely to interact.
        probability: the calibrated score.
        threshold: on ``probability``; chosen on validation.
        interacts: ``probability >= threshold``.
        drug_similarity: largest Tanimoto similarity to a drug in train.
        target_similarity: largest sequence similarity to a target in train.
        drug_seen, target_seen, pair_seen: whether exactly this one was in train.
    """

    status: Literal["ok", "invalid"]
    reason: str | None = None
    smiles: str | None = None
    target_id: str | None = None
    score: float | None = None
    probability: float | None = None
    threshold: float | None = None
    interacts: bool | None = None
    drug_similarity: float | None = None
    target_similarity: float | None = None
    drug_seen: bool | None = None
    target_seen: bool | None = None
    pair_seen: bool | None = None


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a loaded model; ``sha256`` is that of its folder's content."""

    name: str
    config: dict[str, Any]
    feature_version: int
    threshold: float
    threshold_metric: str
    calibration: str
    train_pairs: int
    train_drugs: int
    train_targets: int
    known_targets: int
    dataset: str
    data_sha256: dict[str, str]
    sha256: str


@dataclass(frozen=True)
class FeaturizedPairs:
    """Pairs made ready for scoring; models with the same feature parameters can share them.

    Attributes:
        reasons: per pair, why it cannot be scored, or ``None``.
        drug_index, target_index: int64 ``(valid pairs,)``, rows of the tables below.
        smiles, sequences: the unique valid drugs and targets.
    """

    reasons: list[str | None]
    drug_index: NDArray[np.int64]
    target_index: NDArray[np.int64]
    smiles: list[str]
    sequences: list[str]
    drugs: DrugFeatures
    targets: TargetFeatures
    features: FeaturesConfig
    standardise: StandardiseConfig

    @property
    def valid(self) -> NDArray[np.int64]:
        """Positions of the pairs that can be scored, int64 ``(valid pairs,)``."""
        return np.flatnonzero([reason is None for reason in self.reasons])


@dataclass(frozen=True)
class ReferenceFacts:
    """How far each valid pair lies from what the model was trained on; ``(valid pairs,)`` each."""

    drug_similarity: NDArray[np.float32]
    target_similarity: NDArray[np.float32]
    drug_seen: NDArray[np.bool_]
    target_seen: NDArray[np.bool_]
    pair_seen: NDArray[np.bool_]


class Predictor:
    """A model folder, loaded once."""

    def __init__(self, content: ModelFolder, sha256: str) -> None:
        self.content = content
        reference = content.reference
        targets = reference.targets
        in_train = targets["in_train"].to_numpy(bool)
        self._sequence_of_id = dict(zip(targets["target_id"], targets["sequence"], strict=True))
        self._id_of_sequence = dict(zip(targets["sequence"], targets["target_id"], strict=True))
        self._train_drugs = {smiles: row for row, smiles in enumerate(reference.smiles)}
        self._train_targets = {
            sequence: row for row, sequence in enumerate(targets["sequence"]) if in_train[row]
        }
        self._train_pairs = {(int(drug), int(target)) for drug, target in reference.pairs}
        self._sequence_reference = SequenceReference.fit(list(self._train_targets))
        self.info = ModelInfo(
            name=content.config.name,
            config=content.config.model_dump(),
            feature_version=content.feature_version,
            threshold=content.threshold,
            threshold_metric=content.threshold_metric,
            calibration=content.calibration.method,
            train_pairs=len(self._train_pairs),
            train_drugs=len(self._train_drugs),
            train_targets=len(self._train_targets),
            known_targets=len(targets),
            dataset=content.dataset,
            data_sha256=content.data_sha256,
            sha256=sha256,
        )

    @classmethod
    def load(cls, folder: Path) -> Predictor:
        """Load a model folder.

        Raises:
            ModelError: the folder holds no model, an incomplete one, or one for other features.
        """
        return cls(load_model_folder(folder), folder_sha256(folder))

    def predict(self, pairs: Sequence[Pair]) -> list[Prediction]:
        """Return one prediction per pair, in order; a bad pair never fails its neighbours."""
        featurized = self.featurize(pairs)
        scores, probabilities = self.scores(featurized)
        facts = self.reference_facts(featurized)
        answers = [Prediction(status="invalid", reason=reason) for reason in featurized.reasons]
        for row, position in enumerate(featurized.valid):
            answers[position] = Prediction(
                status="ok",
                smiles=featurized.smiles[featurized.drug_index[row]],
                target_id=self._id_of_sequence.get(
                    featurized.sequences[featurized.target_index[row]]
                ),
                score=float(scores[row]),
                probability=float(probabilities[row]),
                threshold=self.content.threshold,
                interacts=bool(probabilities[row] >= self.content.threshold),
                drug_similarity=float(facts.drug_similarity[row]),
                target_similarity=float(facts.target_similarity[row]),
                drug_seen=bool(facts.drug_seen[row]),
                target_seen=bool(facts.target_seen[row]),
                pair_seen=bool(facts.pair_seen[row]),
            )
        return answers

    def featurize(self, pairs: Sequence[Pair]) -> FeaturizedPairs:
        """Standardise and featurise each unique drug and target of ``pairs`` once."""
        standardise, features = self.content.standardise, self.content.features
        smiles = _each_once(
            [pair.smiles for pair in pairs], lambda text: standardise_smiles(text, standardise)
        )
        sequences = _each_once(
            [(pair.sequence, pair.target_id) for pair in pairs],
            lambda target: self._resolve_target(*target),
        )
        unique_smiles = _unique(smiles)
        unique_sequences = _unique(sequences)
        drugs, bad_drugs = featurize_drugs(unique_smiles, features)
        targets, bad_targets = featurize_targets(unique_sequences, features)
        drug_rows = _rows_without(len(unique_smiles), bad_drugs)
        target_rows = _rows_without(len(unique_sequences), bad_targets)
        drug_position = {text: i for i, text in enumerate(unique_smiles)}
        target_position = {text: i for i, text in enumerate(unique_sequences)}

        reasons: list[str | None] = []
        drug_index, target_index = [], []
        for drug, target in zip(smiles, sequences, strict=True):
            problems = []
            for value, position, bad in (
                (drug, drug_position, bad_drugs),
                (target, target_position, bad_targets),
            ):
                if isinstance(value, InvalidInputError):
                    problems.append(str(value))
                elif position[value] in bad:
                    problems.append(bad[position[value]])
            reasons.append("; ".join(problems) or None)
            if not problems:
                drug_index.append(drug_rows[drug_position[str(drug)]])
                target_index.append(target_rows[target_position[str(target)]])
        return FeaturizedPairs(
            reasons=reasons,
            drug_index=np.asarray(drug_index, dtype=np.int64),
            target_index=np.asarray(target_index, dtype=np.int64),
            smiles=[s for i, s in enumerate(unique_smiles) if i not in bad_drugs],
            sequences=[s for i, s in enumerate(unique_sequences) if i not in bad_targets],
            drugs=drugs,
            targets=targets,
            features=features,
            standardise=standardise,
        )

    def scores(self, pairs: FeaturizedPairs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return score and calibrated probability of each valid pair, ``(valid pairs,)`` each.

        Raises:
            ModelError: the pairs were featurised with other parameters than this model's.
        """
        same = (self.content.features, self.content.standardise)
        if (pairs.features, pairs.standardise) != same:
            raise ModelError(
                f"the pairs were featurised with {pairs.features} and {pairs.standardise}, but "
                f"model {self.info.name} was trained with {same[0]} and {same[1]}; "
                "featurise them with this model's Predictor"
            )
        if not len(pairs.drug_index):
            return np.empty(0), np.empty(0)
        scores = self.content.model.score(
            PairData(
                drugs=pairs.drugs,
                targets=pairs.targets,
                scalers=self.content.scalers,
                drug_index=pairs.drug_index,
                target_index=pairs.target_index,
            )
        )
        return scores, self.content.calibration.apply(scores)

    def reference_facts(self, pairs: FeaturizedPairs) -> ReferenceFacts:
        """Compare each valid pair with the drugs, targets and pairs of train."""
        drug_similarity = nearest_tanimoto(
            pairs.drugs.fingerprints, self.content.reference.fingerprints
        )
        target_similarity = self._sequence_reference.nearest(pairs.sequences)
        drug_row = [self._train_drugs.get(text, -1) for text in pairs.smiles]
        target_row = [self._train_targets.get(text, -1) for text in pairs.sequences]
        drug = np.asarray(drug_row, dtype=np.int64)[pairs.drug_index]
        target = np.asarray(target_row, dtype=np.int64)[pairs.target_index]
        return ReferenceFacts(
            drug_similarity=drug_similarity[pairs.drug_index],
            target_similarity=target_similarity[pairs.target_index],
            drug_seen=drug >= 0,
            target_seen=target >= 0,
            pair_seen=np.asarray(
                [pair in self._train_pairs for pair in zip(drug, target, strict=True)], dtype=bool
            ),
        )

    def _resolve_target(self, sequence: str | None, target_id: str | None) -> str:
        if sequence:
            limits = self.content.standardise
            return clean_sequence(sequence, limits.min_residues, limits.max_residues)
        if not target_id:
            raise InvalidInputError("the target has neither a sequence nor an id")
        if target_id not in self._sequence_of_id:
            raise InvalidInputError(
                f"the model knows no target {target_id!r}{nearest(target_id, self._some_ids())}; "
                "or give its sequence"
            )
        known: str = self._sequence_of_id[target_id]
        return known

    def _some_ids(self) -> list[str]:
        return list(self._sequence_of_id)


def _each_once(
    values: Sequence[Any], convert: Callable[[Any], str]
) -> list[str | InvalidInputError]:
    """Convert every value, equal ones once; an InvalidInputError stands in its value's place."""
    converted: dict[Any, str | InvalidInputError] = {}
    for value in values:
        if value not in converted:
            try:
                converted[value] = convert(value)
            except InvalidInputError as error:
                converted[value] = error
    return [converted[value] for value in values]


def _unique(values: Sequence[str | InvalidInputError]) -> list[str]:
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def _rows_without(count: int, bad: dict[int, str]) -> dict[int, int]:
    """Map the position of each input to its row among the valid ones."""
    kept = [position for position in range(count) if position not in bad]
    return {position: row for row, position in enumerate(kept)}
