"""The one way to predict: ``evaluate``, batch screening and the HTTP service all call it.

A pair's prediction is the same to the last bit whatever other pairs stand beside it.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.dti.errors import InvalidInputError, ModelError
from stages.dti.features.store import DrugFeatures, PairData, TargetFeatures
from stages.dti.models.base import Encodings, Precision
from stages.dti.models.registry import reads_descriptors
from stages.dti.prediction.description import read_description
from stages.dti.prediction.encoding import CanonicalKeys, EncodedDrug, EncodedTarget, Encoder
from stages.dti.prediction.featurized_pairs import FeaturizedPairs, Outputs, ReferenceFacts
from stages.dti.prediction.folder import ModelFolder
from stages.dti.prediction.inputs import PreparedInputs, each_once, prepare_drugs, prepare_targets
from stages.dti.prediction.known_targets import KnownTargets
from stages.dti.prediction.matrix import ScoreMatrix, score_matrix
from stages.dti.prediction.ranking import best_rows
from stages.dti.prediction.rows import join
from stages.dti.prediction.types import ModelInfo, Pair, Prediction, Ranked, Target

_TARGETS_AT_ONCE = 8
"""Encoded and held together: of 1,200 residues each, DrugBAN's take 4 to 7 MB."""

_BESIDE_LOADING = 5_000
"""With more drugs, all processes at work after the model is loaded are sooner done than one."""


class Predictor:
    """A model folder, loaded once.

    Attributes:
        known_targets: the targets that may be named by id or name, with their table.
        keys: of drugs and targets, by which what ``encoder`` makes of them may be kept.
        encoder: encodes them one by one, for ``score``.
    """

    def __init__(self, content: ModelFolder, sha256: str) -> None:
        self.content = content
        reference = content.reference
        targets = reference.targets
        in_train = targets["in_train"].to_numpy(bool)
        self.known_targets = KnownTargets(targets)
        self.keys = CanonicalKeys(content.standardise, self.known_targets)
        self.encoder = Encoder(content)
        self._target_of_sequence = {
            sequence: (target_id, name if isinstance(name, str) else None)
            for sequence, target_id, name in targets[
                ["sequence", "target_id", "target_name"]
            ].itertuples(index=False)
        }
        self._name_of_drug = dict(
            reference.drugs.dropna(subset="drug_name")[["smiles", "drug_name"]].itertuples(
                index=False, name=None
            )
        )
        self._train_drugs = {smiles: row for row, smiles in enumerate(reference.smiles)}
        self._train_targets = {
            sequence: row for row, sequence in enumerate(targets["sequence"]) if in_train[row]
        }
        self._train_pairs = {(int(drug), int(target)) for drug, target in reference.pairs}
        self.info = ModelInfo(
            name=content.config.name,
            config=content.config.model_dump(),
            feature_version=content.feature_version,
            threshold=content.threshold,
            threshold_metric=content.threshold_metric,
            calibration=content.calibration.method,
            conformal_coverage=content.conformal.coverage,
            train_pairs=len(self._train_pairs),
            train_drugs=len(self._train_drugs),
            train_targets=len(self._train_targets),
            known_targets=len(targets),
            dataset=content.dataset,
            data_sha256=content.data_sha256,
            sha256=sha256,
        )

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """Load a model folder.

        Raises:
            ModelError: the folder holds no model, one for other features, or (DamagedModelError)
                a file of it is missing or not what was written.
        """
        # Its imports take long; ``load_with_library`` has begun with the drugs by then.
        from stages.dti.prediction.loading import load_model_folder

        return cls(*load_model_folder(folder))

    @classmethod
    def load_with_library(
        cls, folder: str | Path, smiles: Sequence[str]
    ) -> tuple[Predictor, PreparedInputs[DrugFeatures]]:
        """Load a model folder and make a library ready for it, as ``prepare_drugs`` does.

        In a process that has just started both take a second or more, the one to import torch,
        the other to standardise thousands of drugs: so both are done at once.

        Raises:
            ModelError: as ``load`` does.
        """
        # A process that has threads, as torch starts them, must not be forked.
        if len(smiles) > _BESIDE_LOADING or "torch" in sys.modules:
            predictor = cls.load(folder)
            return predictor, predictor.prepare_drugs(smiles, processes=None)
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as process:
            library = process.submit(_prepare_drugs_in, folder, smiles)
            return cls.load(folder), library.result()

    def predict(self, pairs: Sequence[Pair]) -> list[Prediction]:
        """Return one prediction per pair, in order; a bad pair never fails its neighbours.

        Encodes each different drug and target once, then scores the pairs.
        """
        drugs = self.encoder.drugs(each_once([pair.smiles for pair in pairs], self.keys.drug))
        sequences = each_once(
            [Target(pair.sequence, pair.target_id) for pair in pairs], self.keys.target
        )
        answers = [Prediction(status="invalid")] * len(pairs)
        for positions in _blocks(sequences):
            targets = self.encoder.targets([sequences[position] for position in positions])
            accepted = []
            for position, target in zip(positions, targets, strict=True):
                drug = drugs[position]
                if isinstance(drug, EncodedDrug) and isinstance(target, EncodedTarget):
                    accepted.append((position, drug, target))
                    continue
                reason = "; ".join(found for found in (drug, target) if isinstance(found, str))
                answers[position] = Prediction(status="invalid", reason=reason)
            scored = self.score([(drug, target) for _, drug, target in accepted])
            for (position, _, _), answer in zip(accepted, scored, strict=True):
                answers[position] = answer
        return answers

    def score(self, pairs: Sequence[tuple[EncodedDrug, EncodedTarget]]) -> list[Prediction]:
        """Return the prediction of each pair of what ``encoder`` made, in order.

        It is the same to the last bit whenever, and beside whatever else, they were encoded.
        """
        if not pairs:
            return []
        drugs = {drug.smiles: drug for drug, _ in pairs}
        targets = {target.sequence: target for _, target in pairs}
        drug_row = {smiles: row for row, smiles in enumerate(drugs)}
        target_row = {sequence: row for row, sequence in enumerate(targets)}
        drug_index = np.array([drug_row[drug.smiles] for drug, _ in pairs], dtype=np.int64)
        target_index = np.array([target_row[target.sequence] for _, target in pairs], np.int64)
        content = self.content
        data = PairData(
            drugs=join([drug.features for drug in drugs.values()]),
            targets=join([target.features for target in targets.values()]),
            scalers=content.scalers,
            drug_index=drug_index,
            target_index=target_index,
        )
        encodings = Encodings(
            [drug.encoding for drug in drugs.values()],
            [target.encoding for target in targets.values()],
        )
        outputs = self._outputs(content.model.encoded_member_scores(data, encodings))
        facts = self._facts(
            drug_index,
            target_index,
            list(drugs),
            list(targets),
            np.array([drug.similarity for drug in drugs.values()], dtype=np.float32),
            np.array([target.similarity for target in targets.values()], dtype=np.float32),
        )
        sets = content.conformal.words(outputs.probabilities)
        answers = []
        for row, (drug, target) in enumerate(pairs):
            probability, distance = outputs.probabilities[row], facts.domain_distance[row]
            target_id, target_name = self._target_of_sequence.get(target.sequence, (None, None))
            answers.append(
                Prediction(
                    status="ok",
                    smiles=drug.smiles,
                    drug_name=self._name_of_drug.get(drug.smiles),
                    known_target_id=target_id,
                    target_name=target_name,
                    score=float(outputs.scores[row]),
                    probability=float(probability),
                    threshold=content.threshold,
                    interacts=bool(probability >= content.threshold),
                    drug_similarity=float(facts.drug_similarity[row]),
                    target_similarity=float(facts.target_similarity[row]),
                    drug_seen=bool(facts.drug_seen[row]),
                    target_seen=bool(facts.target_seen[row]),
                    pair_seen=bool(facts.pair_seen[row]),
                    prediction_set=sets[row],
                    domain_distance=float(distance),
                    in_domain=bool(distance <= 1),
                    spread=None if outputs.spread is None else float(outputs.spread[row]),
                )
            )
        return answers

    def featurize(self, pairs: Sequence[Pair], *, for_all: bool = True) -> FeaturizedPairs:
        """Standardise and featurize each unique drug and target of ``pairs`` once.

        Args:
            for_all: make what any model may read; else only what this one does.
        """
        drugs = prepare_drugs(
            [pair.smiles for pair in pairs],
            self.content.standardise,
            self.content.features,
            with_descriptors=for_all or reads_descriptors(self.content.config),
        )
        targets = self.prepare_targets([Target(pair.sequence, pair.target_id) for pair in pairs])
        problems = zip(drugs.reasons, targets.reasons, strict=True)
        valid = (drugs.rows >= 0) & (targets.rows >= 0)
        return FeaturizedPairs(
            reasons=["; ".join(filter(None, found)) or None for found in problems],
            drug_index=drugs.rows[valid],
            target_index=targets.rows[valid],
            smiles=drugs.texts,
            sequences=targets.texts,
            drugs=drugs.features,
            targets=targets.features,
            features=self.content.features,
            standardise=self.content.standardise,
        )

    def prepare_drugs(
        self, smiles: Sequence[str], *, processes: int | None = 1
    ) -> PreparedInputs[DrugFeatures]:
        """Standardise each different drug once and compute what the model reads of it.

        Args:
            processes: how many share the work; ``None``: all available. The result is the same.
        """
        content = self.content
        return prepare_drugs(
            smiles,
            content.standardise,
            content.features,
            with_descriptors=reads_descriptors(content.config),
            processes=processes,
        )

    def prepare_targets(self, targets: Sequence[Target]) -> PreparedInputs[TargetFeatures]:
        """Find the sequence of each target and featurize each different one once."""
        return prepare_targets(each_once(targets, self.keys.target), self.content.features)

    def matrix(
        self,
        drugs: Sequence[str],
        targets: Sequence[Target],
        precision: Precision = "float32",
    ) -> ScoreMatrix:
        """Score every drug (SMILES) against every target; what is invalid is NaN, with a reason.

        For screening: scores differ from those of ``predict`` by rounding.
        """
        return score_matrix(
            self.content, self.prepare_drugs(drugs), self.prepare_targets(targets), precision
        )

    def rank(
        self,
        library: Sequence[str] | PreparedInputs[DrugFeatures],
        target: Target,
        top_k: int,
        precision: Precision = "bf16",
    ) -> list[Ranked]:
        """Return the ``top_k`` drugs of a library likeliest to interact with a target, best first.

        ``precision`` speeds up the search alone: order and numbers are those of ``predict``. Equal
        scores stand in the order of their SMILES, and each different drug stands there once.

        Args:
            library: SMILES; or what ``prepare_drugs`` made of them, to rank it for many targets.

        Raises:
            InvalidInputError: the target cannot be scored.
        """
        drugs = library if isinstance(library, PreparedInputs) else self.prepare_drugs(library)
        ready = self.prepare_targets([target])
        if ready.reasons[0] is not None:
            raise InvalidInputError(ready.reasons[0])
        top = best_rows(self.content, drugs, ready, top_k, precision)
        positions = dict(zip(drugs.rows[::-1].tolist(), range(len(drugs.rows))[::-1], strict=True))
        predictions = self.predict([Pair(drugs.texts[row], ready.texts[0]) for row in top])
        return [
            Ranked(rank, positions[int(row)], prediction)
            for rank, (row, prediction) in enumerate(zip(top, predictions, strict=True), start=1)
        ]

    def scores(self, pairs: FeaturizedPairs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return score and calibrated probability of each valid pair, ``(valid pairs,)`` each.

        Raises:
            ModelError: as ``outputs`` does.
        """
        outputs = self.outputs(pairs)
        return outputs.scores, outputs.probabilities

    def outputs(self, pairs: FeaturizedPairs) -> Outputs:
        """Return score, calibrated probability and, of an ensemble, spread of each valid pair.

        Raises:
            ModelError: the pairs were featurized with other parameters than this model's, or for
                a model that reads less.
        """
        same = (self.content.features, self.content.standardise)
        if (pairs.features, pairs.standardise) != same:
            raise ModelError(
                f"the pairs were featurized with {pairs.features} and {pairs.standardise}, but "
                f"model {self.info.name} was trained with {same[0]} and {same[1]}; "
                "featurize them with this model's Predictor"
            )
        content = self.content
        if reads_descriptors(content.config) and not pairs.drugs.descriptors.shape[1]:
            raise ModelError(
                f"the pairs were featurized without the descriptors that model {self.info.name} "
                "reads; featurize them for all models"
            )
        if not len(pairs.drug_index):
            return Outputs(np.empty(0), np.empty(0), None)
        data = PairData(
            drugs=pairs.drugs,
            targets=pairs.targets,
            scalers=content.scalers,
            drug_index=pairs.drug_index,
            target_index=pairs.target_index,
        )
        return self._outputs(content.model.member_scores(data))

    def _outputs(self, member_scores: NDArray[np.float64]) -> Outputs:
        content = self.content
        scores = content.model.combine(member_scores)
        made = zip(content.member_calibrations, member_scores, strict=False)
        members = [calibration.apply(own) for calibration, own in made]
        return Outputs(
            scores, content.calibration.apply(scores), _deviation(members) if members else None
        )

    def reference_facts(self, pairs: FeaturizedPairs) -> ReferenceFacts:
        """Compare each valid pair with the drugs, targets and pairs of train."""
        return self._facts(
            pairs.drug_index,
            pairs.target_index,
            pairs.smiles,
            pairs.sequences,
            self.encoder.drug_similarity(pairs.drugs),
            self.encoder.target_similarity(pairs.sequences),
        )

    def _facts(
        self,
        drug_index: NDArray[np.int64],
        target_index: NDArray[np.int64],
        smiles: Sequence[str],
        sequences: Sequence[str],
        drug_similarity: NDArray[np.float32],
        target_similarity: NDArray[np.float32],
    ) -> ReferenceFacts:
        """Bring what is known of each drug and target to the pairs, given as rows of these."""
        drug_row = [self._train_drugs.get(text, -1) for text in smiles]
        target_row = [self._train_targets.get(text, -1) for text in sequences]
        drug = np.asarray(drug_row, dtype=np.int64)[drug_index]
        target = np.asarray(target_row, dtype=np.int64)[target_index]
        of_drug, of_target = drug_similarity[drug_index], target_similarity[target_index]
        return ReferenceFacts(
            drug_similarity=of_drug,
            target_similarity=of_target,
            domain_distance=self.content.domain.distance(of_drug, of_target),
            drug_seen=drug >= 0,
            target_seen=target >= 0,
            pair_seen=np.asarray(
                [pair in self._train_pairs for pair in zip(drug, target, strict=True)], dtype=bool
            ),
        )


def _blocks(sequences: Sequence[str | InvalidInputError]) -> Iterable[list[int]]:
    """Return positions in blocks of at most ``_TARGETS_AT_ONCE`` different sequences."""
    different = dict.fromkeys(text for text in sequences if isinstance(text, str))
    number = {text: row // _TARGETS_AT_ONCE for row, text in enumerate(different)}
    blocks: dict[int, list[int]] = {}
    for position, text in enumerate(sequences):
        blocks.setdefault(number[text] if isinstance(text, str) else 0, []).append(position)
    return blocks.values()


def _prepare_drugs_in(folder: str | Path, smiles: Sequence[str]) -> PreparedInputs[DrugFeatures]:
    """Return what the ``prepare_drugs`` of the model in ``folder`` would."""
    model = read_description(folder)
    return prepare_drugs(
        smiles,
        model.standardise,
        model.features,
        with_descriptors=reads_descriptors(model.config),
    )


def _deviation(rows: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the standard deviation of each column; summed row by row, as in ``Ensemble.combine``.

    A vectorised sum may add in another order when there are more columns.
    """
    mean = sum(rows[1:], rows[0]) / len(rows)
    squares = [(row - mean) ** 2 for row in rows]
    return np.sqrt(sum(squares[1:], squares[0]) / len(rows))
