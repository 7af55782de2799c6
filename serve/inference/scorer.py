"""From requests to rows, through the library's one Predictor."""

from __future__ import annotations

from collections.abc import Sequence

from serve.http.schemas import (
    NO_TEXT,
    DrugTargetPair,
    KnownTarget,
    KnownTargets,
    ModelInfoBody,
    PredictAnswer,
    PredictionRow,
    PredictionRows,
    PredictOne,
    PredictRequest,
    TargetInfo,
)
from serve.inference.source import Source
from stages.dti.artifacts.export import SHORT
from stages.dti.artifacts.model import Version
from stages.dti.errors import DamagedModelError, InvalidInputError, ModelError
from stages.dti.files import read_json
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair, Prediction

_TARGET_FACTS = ("target_id", "target_name", "organism", "target_class")


class Scorer:
    """A loaded model that answers requests.

    Attributes:
        model_info: what /model/info says.
    """

    def __init__(self, predictor: Predictor, model_info: ModelInfoBody) -> None:
        self.predictor = predictor
        self.model_info = model_info
        self._known = predictor.known_targets

    @classmethod
    def load(cls, source: Source) -> Scorer:
        """Load an exported model.

        Raises:
            DtiError: the folder holds no model, or an incomplete one.
        """
        predictor = Predictor.load(source.folder)
        return cls(predictor, describe(predictor, source))

    def answer(self, requests: Sequence[PredictRequest]) -> list[PredictAnswer]:
        """Return one answer per request, in order; all pairs are scored in one call."""
        pairs = [pair for request in requests for pair in request.pairs]
        predictions = iter(self._predict(pairs))
        answers: list[PredictAnswer] = []
        for request in requests:
            rows = [
                self._row(pair, next(predictions), confidence=request.return_confidence)
                for pair in request.pairs
            ]
            answers.append(
                rows[0] if isinstance(request, PredictOne) else PredictionRows(predictions=rows)
            )
        return answers

    def _predict(self, pairs: Sequence[DrugTargetPair]) -> list[Prediction]:
        """Return one prediction per pair; only pairs of real text reach the Predictor."""
        predictions: list[Prediction | None] = []
        accepted = []
        for pair in pairs:
            try:
                accepted.append(self._accept(pair))
                predictions.append(None)
            except InvalidInputError as error:
                predictions.append(Prediction(status="invalid", reason=str(error)))
        scored = iter(self.predictor.predict(accepted))
        return [next(scored) if known is None else known for known in predictions]

    def targets(self) -> KnownTargets:
        """Return what /model/targets says."""
        return KnownTargets(
            targets=[
                KnownTarget(
                    residues=len(row["sequence"]),
                    in_train=row["in_train"],
                    **{field: row[field] or None for field in _TARGET_FACTS},
                )
                for row in self._known.table.to_dict("records")
            ]
        )

    def _accept(self, pair: DrugTargetPair) -> Pair:
        given = {**pair.drug.model_dump(), **pair.target.model_dump()}
        broken = [field for field, text in given.items() if text and NO_TEXT in text]
        if broken:
            raise InvalidInputError(
                f"{broken[0]} is no Unicode text: it holds a lone surrogate, or U+FFFD in its place"
            )
        target_id = None if pair.target.sequence is not None else self._target_id(pair.target)
        return Pair(pair.drug.smiles, pair.target.sequence, target_id)

    def _target_id(self, target: TargetInfo) -> str | None:
        """Return the name that the model knows; if it knows none of them, the first one given."""
        given = [name for name in (target.target_id, target.uniprot_id) if name]
        given = given or [name for name in (target.target_name,) if name]
        known = [name for name in given if name in self._known]
        if len({self._known.find(name) for name in known}) > 1:
            raise InvalidInputError(
                f"the model knows target_id {target.target_id!r} and uniprot_id "
                f"{target.uniprot_id!r} as different proteins; give one of them, or the sequence"
            )
        return next(iter(known or given), None)

    def _row(
        self, pair: DrugTargetPair, prediction: Prediction, *, confidence: bool
    ) -> PredictionRow:
        drug, target = pair.drug, pair.target
        said = prediction.model_dump() | {
            "drug_name": drug.drug_name or prediction.drug_name,
            "target_name": target.target_name or prediction.target_name,
        }
        return PredictionRow(
            drug_id=drug.drug_id,
            target_id=target.target_id or target.uniprot_id,
            confidence=_confidence(prediction) if confidence else None,
            model_name=self.model_info.name,
            model_version=self.model_info.version,
            **said,
        )


def _confidence(prediction: Prediction) -> float | None:
    """Return the calibrated probability that the call ``interacts`` is right."""
    if prediction.probability is None:
        return None
    return prediction.probability if prediction.interacts else 1 - prediction.probability


def describe(predictor: Predictor, source: Source) -> ModelInfoBody:
    """Return what /model/info says; ``version.json`` and ``metrics.json`` come from the export."""
    info, folder = predictor.info, source.folder
    of_model = Version.read(folder / "version.json").model_sha256
    if of_model != info.sha256:
        raise DamagedModelError(
            f"{folder / 'version.json'} is of another model: it names the sha256 {of_model}, the "
            f"model here has {info.sha256}; export it anew with `dvc repro -f promote`"
        )
    # As it was written, whatever the version of the code that measured it.
    metrics = read_json(folder / "metrics.json").get("candidate")
    if metrics is None:
        raise ModelError(
            f"{folder / 'metrics.json'} has no 'candidate'; run `dvc repro promote` anew"
        )
    return ModelInfoBody(
        name=info.name,
        version=info.sha256[:SHORT],
        registered=source.registered,
        sha256=info.sha256,
        dataset=info.dataset,
        data_sha256=info.data_sha256,
        config=info.config,
        feature_version=info.feature_version,
        calibration=info.calibration,
        conformal_coverage=info.conformal_coverage,
        threshold=info.threshold,
        threshold_metric=info.threshold_metric,
        train_pairs=info.train_pairs,
        train_drugs=info.train_drugs,
        train_targets=info.train_targets,
        known_targets=info.known_targets,
        metrics=metrics,
    )
