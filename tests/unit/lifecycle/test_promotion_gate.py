"""What a candidate is compared with, and what is exported when it is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stages.dti.artifacts.export import NO_MODEL
from stages.dti.artifacts.model_files import FILES, verify_folder
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.errors import DamagedModelError, DataError, ModelError
from stages.dti.evaluation.test_set import read_test_pairs
from stages.dti.files import write_json
from stages.dti.hashing import file_sha256
from stages.dti.lifecycle.record import MEASURED_ON
from stages.dti.paths import (
    BASELINES,
    CANDIDATE,
    EVALUATION,
    METRICS,
    PRODUCTION,
    PROMOTED,
    SPLITS,
    Paths,
)
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair
from tests.support.promotion_repository import (
    NOT_WORSE,
    PROMOTE,
    Repository,
    check,
    divide,
    evaluate,
    fit,
    propose,
    read,
)
from tests.support.written_files import files_below

TOLERANT = PROMOTE.model_copy(update={"max_loss_to_previous": 0.5})


def test_second_model_is_compared_with_the_first_by_recorded_metrics(
    repository: Repository,
) -> None:
    repository.promote()
    first = read(repository.root / METRICS)["candidate"]["auroc"]["value"]
    first_sha256 = verify_folder(repository.root / CANDIDATE)
    shutil.rmtree(repository.root / PROMOTED)
    repository.new_registry()  # the record is enough
    propose(repository.root, "other")
    second = read(repository.root / METRICS)["candidate"]["auroc"]["value"]
    decision = repository.decide(TOLERANT)

    assert decision["previous"]["basis"] == "recorded"
    assert decision["previous"]["model_sha256"] == first_sha256
    assert check(decision, NOT_WORSE)["observed"] == pytest.approx(second - first, abs=1e-6)


def test_a_promoted_model_is_decided_on_as_before(repository: Repository) -> None:
    repository.promote()
    first = repository.written()
    repository.decide()
    assert repository.written() == first

    propose(repository.root, "other")
    repository.promote(TOLERANT)
    second = repository.written()
    repository.decide(TOLERANT)
    assert repository.written() == second
    assert len(repository.record()) == 2


def test_loss_to_the_promoted_model_refuses(repository: Repository) -> None:
    repository.promote()
    record = read(repository.root / PRODUCTION)
    record["production"][-1]["test"]["auroc"] = 0.999
    write_json(repository.root / PRODUCTION, record)
    propose(repository.root, "other")
    decision = repository.decide()
    assert decision["verdict"] == "refused"
    assert check(decision, NOT_WORSE)["passed"] is False


def test_a_candidate_that_nobody_promoted_is_no_measure(repository: Repository) -> None:
    repository.decide()
    propose(repository.root, "other")
    assert repository.decide()["previous"] is None


def test_refusal_leaves_the_model_in_production(repository: Repository) -> None:
    repository.promote()
    before = files_below(repository.root / PROMOTED)
    propose(repository.root, "base_rate")
    decision = repository.decide()
    assert decision["verdict"] == "refused"
    assert check(decision, "floor")["passed"] is False
    assert files_below(repository.root / PROMOTED) == before
    assert (repository.named("production"), repository.named("challenger")) == (1, 1)
    assert repository.versions() == 1


@pytest.mark.parametrize("lost", ["folder", "folder of another candidate"])
def test_after_a_refusal_production_is_taken_from_the_registry_by_its_hash(
    lost: str, repository: Repository
) -> None:
    repository.promote()
    before = files_below(repository.root / PROMOTED)
    if lost == "folder":
        shutil.rmtree(repository.root / PROMOTED)
    else:
        propose(repository.root, "other")
        repository.decide(TOLERANT)
        assert files_below(repository.root / PROMOTED) != before
    propose(repository.root, "base_rate")
    repository.decide()
    assert files_below(repository.root / PROMOTED) == before


def test_files_that_are_not_those_in_production_are_not_taken_for_them(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    repository.promote()
    altered = list((repository.root / "mlartifacts").rglob("calibration.json"))
    assert altered
    for file in altered:
        file.write_text(file.read_text() + " ")
    shutil.rmtree(repository.root / PROMOTED)
    propose(repository.root, "base_rate")
    repository.decide()
    assert "not those that were registered" in caplog.text
    exported = files_below(repository.root / PROMOTED)
    assert list(exported) == [NO_MODEL]
    assert "lies neither in models/promoted nor in the registry" in exported[NO_MODEL].decode()


def test_refusal_of_the_first_candidate_leaves_an_explanation_and_no_model(
    repository: Repository,
) -> None:
    repository.decide()  # passes, but nobody promotes it
    propose(repository.root, "base_rate")
    decision = repository.decide()
    exported = files_below(repository.root / PROMOTED)
    assert list(exported) == [NO_MODEL]
    assert decision["summary"] in exported[NO_MODEL].decode()
    assert "No model was ever promoted" in exported[NO_MODEL].decode()
    with pytest.raises(ModelError, match="holds no model"):
        Predictor.load(repository.root / PROMOTED)

    propose(repository.root, "good")
    assert repository.decide()["verdict"] == "passed"
    assert NO_MODEL not in files_below(repository.root / PROMOTED)


def test_on_a_new_split_the_previous_model_is_scored_without_its_train_pairs(
    repository: Repository,
) -> None:
    root = repository.root
    repository.promote()
    old_train = pd.read_parquet(root / SPLITS).query("split == 'train'")
    shutil.copytree(root / PROMOTED, root / "old")
    divide(root, seed=1)
    for name in ("base_rate", "nearest_neighbour"):
        fit(root, name, root / BASELINES / name)
    fit(root, "good", root / CANDIDATE)
    evaluate(root)
    decision = repository.decide(TOLERANT)

    test = read_test_pairs(Paths(inputs=root, outputs=root))
    seen = pd.MultiIndex.from_frame(test[["drug_key", "target_key"]]).isin(
        pd.MultiIndex.from_frame(old_train[["drug_key", "target_key"]])
    )
    rest = test[~seen]
    answers = Predictor.load(root / "old").predict(
        [Pair(*row) for row in rest[["smiles", "sequence"]].itertuples(index=False)]
    )
    previous = decision["previous"]
    assert previous["basis"] == "rescored"
    assert (previous["pairs"], previous["left_out"]) == (len(rest), int(seen.sum()))
    assert 0 < previous["left_out"] < len(test)
    assert f"{int(seen.sum())} were left out because it was trained on them" in previous["reason"]
    expected = roc_auc_score(rest["label"], [answer.score for answer in answers])
    assert previous["previous"]["auroc"] == pytest.approx(expected, abs=1e-6)
    predictions = pd.read_parquet(root / EVALUATION / "predictions.parquet")
    expected = roc_auc_score(rest["label"], predictions["candidate_score"].to_numpy()[~seen])
    assert previous["candidate"]["auroc"] == pytest.approx(expected, abs=1e-6)


def change_previous(repository: Repository, **changes: Any) -> None:
    """Let the model in production be another one, of other data: its model.json says so."""
    folder = repository.root / PROMOTED
    write_json(folder / "model.json", read(folder / "model.json") | changes)
    listed = read(folder / FILES)
    listed["model"]["model.json"] = file_sha256(folder / "model.json")
    write_json(folder / FILES, listed)
    change_record(
        repository,
        model_sha256=verify_folder(folder),
        data_sha256=dict.fromkeys(MEASURED_ON, "0" * 64),
    )


def test_pairs_that_the_previous_model_refuses_are_left_out(repository: Repository) -> None:
    repository.promote()
    limits = read(repository.root / PROMOTED / "model.json")["standardise"]
    change_previous(repository, standardise=limits | {"max_heavy_atoms": 30})
    previous = repository.decide(TOLERANT)["previous"]
    assert previous["basis"] == "rescored"
    assert previous["left_out"] > 0
    assert f"{previous['left_out']} because it refuses their structure" in previous["reason"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"feature_version": 0}, "feature version 0"),
        ({"format_version": 0}, "written in format 0"),
        ({"config": {"name": "forgotten"}}, "this code no longer knows its configuration"),
    ],
)
def test_previous_model_of_another_version_and_data_is_not_compared(
    changes: dict[str, Any], words: str, repository: Repository
) -> None:
    repository.promote()
    change_previous(repository, **changes)
    if "format_version" in changes:
        (repository.root / PROMOTED / FILES).unlink()  # no earlier format had it
    decision = repository.decide()
    assert decision["verdict"] == "passed"
    assert decision["previous"]["basis"] == "none"
    assert words in check(decision, NOT_WORSE)["reason"]
    assert check(decision, NOT_WORSE)["passed"] is None


def change_record(repository: Repository, **changes: Any) -> None:
    """Change the newest promotion on record."""
    record = read(repository.root / PRODUCTION)
    record["production"][-1] |= changes
    write_json(repository.root / PRODUCTION, record)


def test_nothing_is_compared_with_an_altered_model(repository: Repository) -> None:
    repository.promote()
    change_record(repository, data_sha256=dict.fromkeys(MEASURED_ON, "0" * 64))
    path = repository.root / PROMOTED / "calibration.json"
    calibration = read(path)
    calibration["threshold"] /= 2
    write_json(path, calibration)
    before = files_below(repository.root / PROMOTED)
    propose(repository.root, "other")
    with pytest.raises(DamagedModelError, match=r"calibration\.json was altered.*dvc checkout"):
        repository.decide()
    assert files_below(repository.root / PROMOTED) == before


def test_without_its_files_a_model_of_other_data_is_not_compared(repository: Repository) -> None:
    repository.promote()
    change_record(repository, data_sha256=dict.fromkeys(MEASURED_ON, "0" * 64))
    shutil.rmtree(repository.root / PROMOTED)
    repository.new_registry()
    propose(repository.root, "other")
    decision = repository.decide()
    assert decision["previous"]["basis"] == "none"
    assert (
        "lie neither in models/promoted nor in the registry" in check(decision, NOT_WORSE)["reason"]
    )


def test_a_comparison_that_needed_files_is_on_record_for_those_who_lack_them(
    repository: Repository,
) -> None:
    repository.promote()
    change_record(repository, data_sha256=dict.fromkeys(MEASURED_ON, "0" * 64))
    propose(repository.root, "other")
    decision = repository.promote(TOLERANT)
    assert decision["previous"]["basis"] == "rescored"
    before = repository.written()
    shutil.rmtree(repository.root / PROMOTED)
    repository.new_registry()
    repository.decide(TOLERANT)
    assert repository.written() == before


@pytest.mark.parametrize("content", ["[]", "{", '{"production": [{"model": "m"}]}'])
def test_a_damaged_record_is_an_error(content: str, repository: Repository) -> None:
    (repository.root / PRODUCTION).write_text(content)
    with pytest.raises(DataError, match=r"production\.json"):
        repository.decide()


def test_prod_records_and_exports_nothing(repository: Repository) -> None:
    prod = EnvironmentConfig(name="prod", alias="production", promotion="refuse")
    decision = repository.decide(environment=prod)
    assert decision["gate_passed"]
    assert decision["verdict"] == "refused"
    assert list(files_below(repository.root / PROMOTED)) == [NO_MODEL]
    assert repository.versions() == 0


def test_staging_is_compared_with_its_own_alias(repository: Repository) -> None:
    staging = EnvironmentConfig(name="staging", alias="staging", promotion="automatic")
    repository.promote()
    propose(repository.root, "other")
    assert repository.decide(environment=staging)["previous"] is None
    repository.promote(environment=staging)
    assert (repository.named("staging"), repository.named("production")) == (2, 1)
    assert [len(repository.record(alias)) for alias in ("staging", "production")] == [1, 1]


def test_a_direct_run_reads_the_record_and_leaves_the_repository_alone(
    repository: Repository, tmp_path: Path
) -> None:
    repository.promote()
    before = repository.written()
    propose(repository.root, "other")
    decision = repository.decide(TOLERANT, outputs=tmp_path / "hydra")
    assert decision["previous"]["basis"] == "recorded"
    assert repository.written() == before
    propose(repository.root, "base_rate")
    repository.decide(outputs=tmp_path / "refused")
    assert files_below(tmp_path / "refused" / PROMOTED) == files_below(repository.root / PROMOTED)
