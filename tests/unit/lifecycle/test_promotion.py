"""The promote stage on measured kinase pairs: what it exports and registers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from stages.dti.artifacts.export import CARD, VERSION, WRITTEN_HERE
from stages.dti.artifacts.model_files import FILES, verify_folder
from stages.dti.errors import DataError, ModelError
from stages.dti.paths import (
    CANDIDATE,
    EVALUATION,
    INTERACTIONS,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PROMOTED,
)
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.pyfunc import PredictorModel
from stages.dti.prediction.types import Pair
from stages.dti.tracking.registry import fetch
from tests.support.promotion_repository import NOT_WORSE, PROMOTE, Repository, check, propose, read
from tests.support.written_files import files_below


def test_a_candidate_that_passes_is_exported_and_explained(repository: Repository) -> None:
    decision = repository.decide()
    root = repository.root
    assert decision["verdict"] == "passed"
    assert check(decision, NOT_WORSE)["reason"] == "no model was promoted before"
    exported = files_below(root / PROMOTED)
    candidate = files_below(root / CANDIDATE)
    own = set(candidate) - {FILES}
    assert {name: exported[name] for name in own} == {name: candidate[name] for name in own}
    assert set(exported) - own == set(WRITTEN_HERE)
    assert verify_folder(root / PROMOTED) == verify_folder(root / CANDIDATE)
    assert exported["metrics.json"] == (root / METRICS).read_bytes()
    assert read(root / PROMOTED / VERSION) == {
        "model": "logistic_regression",
        "model_sha256": verify_folder(root / CANDIDATE),
    }
    assert decision["strongest_baseline"]["words"] in exported[CARD].decode()
    for text in (json.dumps(decision), exported[CARD].decode(), exported[VERSION].decode()):
        assert str(root) not in text


def test_golden_predictions_are_those_of_the_export_to_the_last_bit(repository: Repository) -> None:
    repository.decide()
    golden = read(repository.root / PROMOTED / "golden.json")["pairs"]
    assert len(golden) == PROMOTE.golden_pairs
    pairs = [Pair(smiles=row["smiles"], sequence=row["sequence"]) for row in golden]
    answers = Predictor.load(repository.root / PROMOTED).predict(pairs)
    assert [(row["score"], row["probability"]) for row in golden] == [
        (answer.score, answer.probability) for answer in answers
    ]
    scores = [row["score"] for row in golden]
    predictions = pd.read_parquet(repository.root / EVALUATION / "predictions.parquet")
    assert scores == sorted(scores)
    assert scores[0] == predictions["candidate_score"].min()
    assert scores[-1] == predictions["candidate_score"].max()


def test_registered_model_loads_by_its_alias_without_pickle(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.promote()
    fetched = fetch(
        repository.store, "models:/drug_target_interaction@production", tmp_path
    ).export.folder
    files = files_below(fetched)
    del files["MLmodel"]
    assert files == files_below(repository.root / PROMOTED)

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", repository.tracking.uri)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(repository.tracking.uri)
    mlflow.set_registry_uri(repository.tracking.uri)
    try:
        model = mlflow.pyfunc.load_model("models:/drug_target_interaction@production")
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
    golden = read(repository.root / PROMOTED / "golden.json")["pairs"]
    table = pd.DataFrame(
        {
            "smiles": [*(row["smiles"] for row in golden), "C1CC"],
            "sequence": [*(row["sequence"] for row in golden), golden[0]["sequence"]],
        },
        index=range(10, 11 + len(golden)),
    )
    answers = model.predict(table)
    assert list(answers.index) == list(table.index)
    assert list(answers["score"][:-1]) == [row["score"] for row in golden]
    assert list(answers["status"]) == ["ok"] * len(golden) + ["invalid"]
    with pytest.raises(DataError, match="needs smiles"):
        PredictorModel(Predictor.load(fetched)).predict(table[["sequence"]])


def test_the_outputs_know_nothing_of_the_registry(repository: Repository) -> None:
    repository.decide()
    before, runs = repository.written(), repository.production_runs()
    repository.decide()
    assert repository.written() == before
    assert (repository.versions(), repository.production_runs()) == (1, runs)

    propose(repository.root, "other")
    repository.decide()  # takes the next version number
    propose(repository.root, "good")
    repository.new_registry()
    repository.decide()
    assert repository.written() == before


def test_registry_gives_back_what_is_exported_after_a_change_of_the_stage(
    repository: Repository, tmp_path: Path
) -> None:
    repository.decide()
    repository.decide(PROMOTE.model_copy(update={"golden_pairs": 2}))
    assert repository.versions() == 1
    assert len(read(repository.root / PROMOTED / "golden.json")["pairs"]) == 2
    uri = "models:/drug_target_interaction@challenger"
    files = files_below(fetch(repository.store, uri, tmp_path).export.folder)
    del files["MLmodel"]
    assert files == files_below(repository.root / PROMOTED)


def test_two_clean_repositories_write_the_same_bytes(
    repository: Repository, pipeline: Path, tmp_path: Path
) -> None:
    repository.decide()
    other = Repository(Path(shutil.copytree(pipeline, tmp_path / "clone")))
    other.decide()
    assert other.written() == repository.written()


def other_scores(root: Path) -> None:
    path = root / EVALUATION / "predictions.parquet"
    table = pd.read_parquet(path)
    table["candidate_score"] = np.clip(table["candidate_score"] + 0.01, 0, 1)
    table.to_parquet(path, index=False)


def missing_prediction(root: Path) -> None:
    path = root / EVALUATION / "predictions.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path, index=False)


def incomplete_candidate(root: Path) -> None:
    (root / CANDIDATE / "calibration.json").unlink()


def no_leakage_report(root: Path) -> None:
    (root / LEAKAGE).unlink()


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (other_scores, ModelError, "they are not the same model: run `dvc repro evaluate`"),
        (missing_prediction, DataError, "1 of .* test pairs have no prediction"),
        (incomplete_candidate, ModelError, "calibration.json"),
        (no_leakage_report, DataError, "leakage.json does not exist"),
    ],
)
def test_damaged_input_is_an_error_and_changes_nothing(
    damage: Callable[[Path], None], error: type[Exception], message: str, repository: Repository
) -> None:
    repository.decide()
    before = repository.written()
    propose(repository.root, "other")
    damage(repository.root)
    with pytest.raises(error, match=message):
        repository.decide(PROMOTE.model_copy(update={"max_loss_to_previous": 0.5}))
    assert repository.written() == before
    assert repository.versions() == 1
    assert sorted(path.name for path in (repository.root / "models").iterdir()) == [
        "baselines",
        "candidate",
        "production.json",
        "promoted",
        "trained",
    ]


def test_card_holds_the_counts_of_the_reports(repository: Repository) -> None:
    repository.decide()
    card = (repository.root / PROMOTED / CARD).read_text()
    prepared = read(repository.root / PREPARE_METRICS)
    assert f"{prepared['pairs']:,} pairs of {prepared['drugs']:,} drugs" in card
    assert "| kiba_sample | MIT |" in card
    interactions = pd.read_parquet(repository.root / INTERACTIONS)
    assert f"{int(interactions['label'].sum()):,} of them interacting" in card
