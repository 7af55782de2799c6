"""Which model is promoted, where, and what it is compared with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from promotion_repository import (
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
from sklearn.metrics import roc_auc_score
from written_files import files_below

from stages.dti.atomic import write_json
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.data.test_pairs import read_test_pairs
from stages.dti.errors import DamagedModelError, ModelError
from stages.dti.lifecycle.promotion import EXPORTED, NO_MODEL, VERSION
from stages.dti.lifecycle.registry import aliased_version
from stages.dti.model_files import FILES, seal_export, verify_folder
from stages.dti.paths import BASELINES, CANDIDATE, EVALUATION, METRICS, PROMOTED, SPLITS, Paths
from stages.dti.prediction import Pair
from stages.dti.predictor import Predictor


def test_second_model_is_compared_with_the_first_by_recorded_metrics(
    repository: Repository,
) -> None:
    repository.promote()
    first = read(repository.root / METRICS)["candidate"]["auroc"]["value"]
    first_sha256 = verify_folder(repository.root / CANDIDATE)
    propose(repository.root, "other")
    second = read(repository.root / METRICS)["candidate"]["auroc"]["value"]
    tolerant = PROMOTE.model_copy(update={"max_loss_to_previous": 0.5})
    decision = repository.promote(tolerant)

    assert decision["previous"]["basis"] == "recorded"
    assert decision["previous"]["model_sha256"] == first_sha256
    assert check(decision, NOT_WORSE)["observed"] == pytest.approx(second - first, abs=1e-6)
    assert repository.production() == 2
    assert read(repository.root / PROMOTED / VERSION)["previous"]["version"] == 1
    tags = repository.store.client.get_model_version("DrugBAN", "2").tags
    assert tags["previous_version"] == "1"
    assert tags["decision"] == decision["summary"]

    before = repository.written()
    repository.promote(tolerant)
    assert repository.written() == before


def test_loss_to_the_promoted_model_refuses(repository: Repository) -> None:
    repository.promote()
    recorded = read(repository.root / PROMOTED / "metrics.json")
    recorded["candidate"]["auroc"]["value"] = 0.999
    write_json(repository.root / PROMOTED / "metrics.json", recorded)
    seal_export(repository.root / PROMOTED, EXPORTED)
    propose(repository.root, "other")
    decision = repository.promote()
    assert decision["verdict"] == "refused"
    assert check(decision, NOT_WORSE)["passed"] is False


def test_refusal_leaves_the_promoted_model_as_it_is(repository: Repository) -> None:
    repository.promote()
    before = files_below(repository.root / PROMOTED)
    propose(repository.root, "base_rate")
    decision = repository.promote()
    assert decision["verdict"] == "refused"
    assert check(decision, "beats base_rate")["passed"] is False
    assert files_below(repository.root / PROMOTED) == before
    assert repository.production() == 1
    assert repository.versions() == 1


def test_refusal_of_the_first_candidate_leaves_an_explanation_and_no_model(
    repository: Repository,
) -> None:
    propose(repository.root, "base_rate")
    decision = repository.promote()
    exported = files_below(repository.root / PROMOTED)
    assert list(exported) == [NO_MODEL]
    assert decision["summary"] in exported[NO_MODEL].decode()
    assert repository.production() is None
    with pytest.raises(ModelError, match="holds no model"):
        Predictor.load(repository.root / PROMOTED)

    propose(repository.root, "good")
    assert repository.promote()["verdict"] == "promoted"
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
    tolerant = PROMOTE.model_copy(update={"max_loss_to_previous": 0.5})
    decision = repository.promote(tolerant)

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


@pytest.mark.parametrize(
    ("field", "words"),
    [("feature_version", "feature version 0"), ("format_version", "written in format 0")],
)
def test_previous_model_of_another_version_and_data_is_not_compared(
    field: str, words: str, repository: Repository
) -> None:
    repository.promote()
    path = repository.root / PROMOTED / "model.json"
    facts = read(path)
    facts[field] = 0
    facts["data_sha256"] = {}
    write_json(path, facts)
    (repository.root / PROMOTED / FILES).unlink()  # no earlier format had it
    decision = repository.promote()
    assert decision["verdict"] == "promoted"
    assert decision["previous"]["basis"] == "none"
    assert words in check(decision, NOT_WORSE)["reason"]
    assert check(decision, NOT_WORSE)["passed"] is None


def test_nothing_is_compared_with_an_altered_model(repository: Repository) -> None:
    repository.promote()
    path = repository.root / PROMOTED / "calibration.json"
    calibration = read(path)
    calibration["threshold"] /= 2
    write_json(path, calibration)
    before = files_below(repository.root / PROMOTED)
    propose(repository.root, "other")
    with pytest.raises(DamagedModelError, match=r"calibration\.json was altered.*dvc checkout"):
        repository.promote()
    assert files_below(repository.root / PROMOTED) == before


def test_prod_records_and_promotes_nothing(repository: Repository) -> None:
    prod = EnvironmentConfig(name="prod", alias="production", promotion="refuse")
    decision = repository.promote(environment=prod)
    assert decision["gate_passed"]
    assert decision["verdict"] == "refused"
    assert list(files_below(repository.root / PROMOTED)) == [NO_MODEL]
    assert repository.versions() == 0


def test_staging_has_its_own_alias(repository: Repository) -> None:
    staging = EnvironmentConfig(name="staging", alias="staging", promotion="automatic")
    repository.promote(environment=staging)
    assert aliased_version(repository.store, "DrugBAN", "staging") == 1
    assert repository.production() is None


def test_run_that_is_not_the_repositorys_own_is_the_challenger(
    repository: Repository, tmp_path: Path
) -> None:
    repository.promote()
    before = repository.written()
    propose(repository.root, "other")
    tolerant = PROMOTE.model_copy(update={"max_loss_to_previous": 0.5})
    decision = repository.promote(tolerant, outputs=tmp_path / "hydra")
    assert decision["verdict"] == "promoted"
    assert repository.written() == before
    assert repository.production() == 1
    assert aliased_version(repository.store, "DrugBAN", "challenger") == 2
    assert read(tmp_path / "hydra" / PROMOTED / VERSION)["version"] == 2


def test_queued_experiment_is_the_challenger(
    pipeline: Path, empty_store: Path, tmp_path: Path
) -> None:
    root = tmp_path / ".dvc/tmp/exps/standalone/tmp1"
    copy = Repository(Path(shutil.copytree(pipeline, root)), empty_store)
    copy.promote()
    assert copy.production() is None
    assert aliased_version(copy.store, "DrugBAN", "challenger") == 1
