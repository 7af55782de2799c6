"""One name for each thing that a prediction says: in Python, in Parquet, in MLflow, over HTTP."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pandas as pd

from serve.http.schemas import DrugInfo, PredictionRow, PredictOne, TargetInfo
from serve.inference.scorer import Scorer
from serve.inference.source import Source
from stages.dti.prediction.featurized_pairs import Outputs, ReferenceFacts
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.pyfunc import PredictorModel
from stages.dti.prediction.types import Pair, Prediction
from stages.dti.screening.results import RANKING_COLUMNS

PYTHON = set(Prediction.model_fields)

RANKED = {"rank", "drug_id", "target_id", "organism"}
"""Columns of a ranking beside those of a prediction: of which drug and target it is."""

SERVED = {
    "drug_id",
    "target_id",
    "confidence",
    "score_direction",
    "score_meaning",
    "model_name",
    "model_version",
}
"""Fields of an HTTP answer beside those of a prediction: what was asked, and of which model."""


def test_parquet_has_the_fields_of_a_prediction() -> None:
    # A ranking holds what could be scored, and each target under the id that was asked for.
    assert set(RANKING_COLUMNS) - RANKED == PYTHON - {"status", "reason", "known_target_id"}


def test_http_has_the_fields_of_a_prediction() -> None:
    assert set(PredictionRow.model_fields) == PYTHON | SERVED


def test_mlflow_has_the_fields_of_a_prediction(predictor: Predictor) -> None:
    asked = pd.DataFrame({"smiles": ["CCO"], "target_id": ["nowhere"]})
    assert set(PredictorModel(predictor).predict(asked).columns) == PYTHON


def test_evaluation_names_them_alike() -> None:
    assert {field.name for field in fields(ReferenceFacts)} <= PYTHON
    assert {field.name for field in fields(Outputs)} == {"scores", "probabilities", "spread"}


def test_the_documentation_says_what_the_library_says() -> None:
    library = Prediction.model_json_schema(mode="serialization")["properties"]
    served = PredictionRow.model_json_schema(mode="serialization")
    assert {name: served["properties"][name] for name in library} == library
    assert set(served["required"]) == PYTHON | SERVED


def test_values_go_from_name_to_name(predictor: Predictor, model_folder: Path) -> None:
    known = predictor.known_targets.table["target_id"].iloc[0]
    request = PredictOne(drug=DrugInfo(smiles="CCO"), target=TargetInfo(target_id=known))
    (answer,) = Scorer.load(Source(model_folder)).answer([request])
    direct = predictor.predict([Pair("CCO", target_id=known)])[0]
    assert answer.model_dump(include=PYTHON) == direct.model_dump()
