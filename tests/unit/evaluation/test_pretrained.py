"""Models from elsewhere beside the candidate, and a candidate that is one of its baselines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stages.dti.artifacts.export import Export
from stages.dti.artifacts.model_files import verify_folder
from stages.dti.config.evaluate import EvaluateConfig, PretrainedConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import DataError, ModelError
from stages.dti.paths import BASELINES, CANDIDATE, EVALUATION, METRICS, SPLITS, Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair
from stages.dti.tracking.registry import register, set_alias
from stages.dti.tracking.runs import training_run
from stages.dti.tracking.store import MODEL_TAG, configure
from stages.evaluate import run
from tests.support.evaluated_models import EVALUATE, MODELS, fit_model

OTHER = "models/other"


@pytest.fixture(scope="module")
def inputs(evaluate_inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage's inputs, and a model that was trained on other pairs, some test pairs too."""
    root = tmp_path_factory.mktemp("inputs") / "repository"
    shutil.copytree(evaluate_inputs, root)
    splits = pd.read_parquet(root / SPLITS)
    moved = np.flatnonzero(splits["split"] == "test")[::4]
    splits.iloc[moved, splits.columns.get_loc("split")] = "train"
    splits.to_parquet(root / SPLITS, index=False)
    (root / OTHER).mkdir()
    fit_model(root, MODELS["candidate"]).save(root / OTHER)
    shutil.copyfile(evaluate_inputs / SPLITS, root / SPLITS)
    return root


def pretrained(source: str, sha256: str) -> EvaluateConfig:
    chosen = {"before": PretrainedConfig(source=source, sha256=sha256)}
    return EVALUATE.model_copy(update={"pretrained": chosen})


def measure(
    inputs: Path, outputs: Path, evaluate: EvaluateConfig, tracking: TrackingConfig
) -> dict[str, Any]:
    run(Paths(inputs=inputs, outputs=outputs), evaluate=evaluate, tracking=tracking)
    metrics: dict[str, Any] = json.loads((outputs / METRICS).read_text())
    return metrics


@pytest.fixture(scope="module")
def outputs(
    inputs: Path, tracking: TrackingConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    root = tmp_path_factory.mktemp("outputs")
    for folder in (CANDIDATE, Path(OTHER)):
        with training_run(tracking, "training", folder.name, params={}, data_hashes={}) as trained:
            trained.set_model(inputs / folder)
    measure(inputs, root, pretrained(OTHER, verify_folder(inputs / OTHER)), tracking)
    return root


@pytest.fixture
def metrics(outputs: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((outputs / METRICS).read_text())
    return content


def test_it_is_measured_on_the_pairs_that_it_was_not_trained_on(
    inputs: Path, outputs: Path, metrics: dict[str, Any]
) -> None:
    table = pd.read_parquet(outputs / EVALUATION / "predictions.parquet")
    drugs = pd.read_parquet(inputs / "data/interim/drugs.parquet")
    targets = pd.read_parquet(inputs / "data/interim/targets.parquet")
    whole = table.merge(drugs, how="left").merge(targets, how="left")
    pairs = [Pair(*row) for row in whole[["smiles", "sequence"]].itertuples(index=False)]
    answers = Predictor.load(inputs / OTHER).predict(pairs)
    new = np.array([not answer.pair_seen for answer in answers])
    assert 0 < (~new).sum() < len(new)

    found = metrics["baselines"]["before"]
    assert found["pretrained"] == {
        "source": OTHER,
        "sha256": verify_folder(inputs / OTHER),
        "test_pairs_trained_on": int((~new).sum()),
        "test_pairs_refused": 0,
    }
    assert found["n"] == int(new.sum())
    assert table["before_score"].isna().tolist() == (~new).tolist()
    scores = np.array([answer.score for answer in answers])
    np.testing.assert_array_equal(table["before_score"][new], scores[new])
    labels = table["label"][new]
    expected = roc_auc_score(labels, scores[new])
    assert found["auroc"]["value"] == pytest.approx(expected, abs=1e-6)
    difference = roc_auc_score(labels, table["candidate_score"][new]) - expected
    entry = metrics["differences"]["before"]["auroc"]
    assert entry["value"] == pytest.approx(difference, abs=2e-6)
    assert entry["low"] <= entry["value"] <= entry["high"]


def test_it_changes_no_other_number(
    inputs: Path, metrics: dict[str, Any], tracking: TrackingConfig, tmp_path: Path
) -> None:
    without = measure(inputs, tmp_path, EVALUATE, tracking)
    del metrics["baselines"]["before"], metrics["differences"]["before"]
    assert metrics == without


def test_its_evaluation_is_recorded_under_its_own_hash(
    inputs: Path, metrics: dict[str, Any], tracking: TrackingConfig
) -> None:
    store = configure(tracking)
    [found] = store.client.search_runs(
        [store.experiment_id("evaluation")],
        filter_string=f"tags.{MODEL_TAG} = '{verify_folder(inputs / OTHER)}'",
    )
    assert found.info.run_name == "before"
    assert found.data.metrics["auroc"] == metrics["baselines"]["before"]["auroc"]["value"]


def test_the_run_that_trained_it_keeps_the_results_of_its_own_data(
    outputs: Path, metrics: dict[str, Any], tracking: TrackingConfig
) -> None:
    store = configure(tracking)
    runs = store.client.search_runs([store.experiment_id("training")])
    logged = {run.info.run_name: run.data.metrics for run in runs}
    assert logged["candidate"]["test.auroc"] == metrics["candidate"]["auroc"]["value"]
    assert logged["other"] == {}


def test_from_the_registry_it_is_the_same(
    inputs: Path, metrics: dict[str, Any], tracking: TrackingConfig, tmp_path: Path
) -> None:
    store = configure(tracking)
    export = Export.find(inputs / OTHER)
    assert export is not None
    version = register(store, "elsewhere", "logistic_regression", export, {})
    set_alias(store, "elsewhere", "production", version)
    source = "models:/elsewhere@production"
    found = measure(inputs, tmp_path, pretrained(source, export.model_sha256), tracking)
    assert found["baselines"]["before"]["pretrained"].pop("source") == source
    del metrics["baselines"]["before"]["pretrained"]["source"]
    assert found == metrics


def test_another_model_under_its_name_is_refused(
    inputs: Path, tracking: TrackingConfig, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=f"has sha256 {verify_folder(inputs / OTHER)}, not 000"):
        measure(inputs, tmp_path, pretrained(OTHER, "0" * 64), tracking)
    with pytest.raises(ModelError, match=r"evaluate\.pretrained\.before: models/no holds no model"):
        measure(inputs, tmp_path, pretrained("models/no", "0" * 64), tracking)
    assert not any(tmp_path.iterdir())


def test_a_model_that_was_trained_on_every_test_pair_is_refused(
    inputs: Path, tracking: TrackingConfig, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(inputs, tmp_path / "repository"))
    splits = pd.read_parquet(root / SPLITS)
    known = splits["split"].replace("test", "train")
    splits.assign(split=known).to_parquet(root / SPLITS, index=False)
    shutil.rmtree(root / OTHER)
    (root / OTHER).mkdir()
    fit_model(root, MODELS["candidate"]).save(root / OTHER)
    splits.to_parquet(root / SPLITS, index=False)
    with pytest.raises(DataError, match="nothing is left to test it on"):
        measure(root, tmp_path, pretrained(OTHER, verify_folder(root / OTHER)), tracking)


def test_a_candidate_that_is_a_baseline_is_not_compared_with_itself(
    evaluate_inputs: Path, tracking: TrackingConfig, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(evaluate_inputs, tmp_path / "repository"))
    shutil.copytree(root / CANDIDATE, root / BASELINES / "linear")
    found = measure(root, tmp_path, EVALUATE, tracking)
    assert found["same_as_candidate"] == ["linear"]
    assert set(found["baselines"]) == {"base_rate", "linear", "nearest_neighbour"}
    assert set(found["differences"]) == {"base_rate", "nearest_neighbour"}


def test_nor_with_its_own_copy_from_elsewhere(
    evaluate_inputs: Path, tracking: TrackingConfig, tmp_path: Path
) -> None:
    sha256 = verify_folder(evaluate_inputs / CANDIDATE)
    found = measure(evaluate_inputs, tmp_path, pretrained(str(CANDIDATE), sha256), tracking)
    assert found["same_as_candidate"] == ["before"]
    assert found["baselines"]["before"]["n"] == found["test"]["n"]
    assert set(found["differences"]) == {"base_rate", "nearest_neighbour"}
