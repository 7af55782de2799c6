"""The stage on measured kinase pairs of the sample, with the cheap models, MLflow included."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, brier_score_loss, roc_auc_score

from stages.dti.config.tracking import TrackingConfig
from stages.dti.evaluation.robustness import sample_rows
from stages.dti.evaluation.scoring import load_models, score
from stages.dti.evaluation.test_set import read_test_pairs
from stages.dti.paths import (
    BASELINES,
    CANDIDATE,
    EVALUATION,
    EVALUATION_PLOTS,
    METRICS,
    SPLITS,
    Paths,
)
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair
from stages.dti.tracking.store import MODEL_TAG, configure
from stages.evaluate import run
from tests.support.evaluated_models import CALIBRATION, EVALUATE, MODELS
from tests.support.prepared_tables import FEATURE_PARAMETERS
from tests.support.written_files import files_below


@pytest.fixture(scope="module")
def outputs(
    evaluate_inputs: Path, tracking: TrackingConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """All that the stage writes."""
    root = tmp_path_factory.mktemp("outputs")
    run(Paths(inputs=evaluate_inputs, outputs=root), evaluate=EVALUATE, tracking=tracking)
    return root


@pytest.fixture(scope="module")
def metrics(outputs: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((outputs / METRICS).read_text())
    return content


@pytest.fixture(scope="module")
def predictions(outputs: Path) -> pd.DataFrame:
    return pd.read_parquet(outputs / EVALUATION / "predictions.parquet")


def test_writes_the_promised_files_and_no_others(outputs: Path) -> None:
    curves = ("confusion", "precision_recall", "reliability", "roc")
    assert sorted(files_below(outputs)) == sorted(
        [
            "reports/metrics.json",
            "reports/evaluation/predictions.parquet",
            "reports/evaluation/applicability.json",
            "reports/evaluation/robustness.json",
            "reports/evaluation/strata.json",
            *(f"reports/plots/evaluation/{name}.csv" for name in curves),
        ]
    )


def test_metrics_file_has_its_shape(metrics: dict[str, Any], predictions: pd.DataFrame) -> None:
    assert set(metrics) == {"candidate", "baselines", "differences", "same_as_candidate", "test"}
    assert metrics["same_as_candidate"] == []
    assert metrics["candidate"]["model"] == "logistic_regression"
    assert set(metrics["baselines"]) == {"base_rate", "nearest_neighbour"}
    assert metrics["test"] == {
        "n": len(predictions),
        "prevalence": round(float(predictions["label"].mean()), 6),
        "drugs": predictions["drug_key"].nunique(),
        "targets": predictions["target_key"].nunique(),
    }
    for baseline in metrics["baselines"]:
        assert set(metrics["differences"][baseline]) == {"auroc", "auprc"}


def test_metrics_equal_scikit_learn_on_the_predictions(
    metrics: dict[str, Any], predictions: pd.DataFrame
) -> None:
    labels = predictions["label"]
    for name, table in {"candidate": metrics["candidate"], **metrics["baselines"]}.items():
        scores = predictions[f"{name}_score"]
        probabilities = predictions[f"{name}_probability"]
        for metric, expected in {
            "auroc": roc_auc_score(labels, scores),
            "auprc": average_precision_score(labels, scores),
            "brier": brier_score_loss(labels, probabilities),
            "accuracy": accuracy_score(labels, probabilities >= table["threshold"]),
        }.items():
            assert table[metric]["value"] == pytest.approx(expected, abs=1e-5), (name, metric)
            assert table[metric]["low"] <= table[metric]["value"] <= table[metric]["high"]


def test_differences_are_those_of_the_tables(metrics: dict[str, Any]) -> None:
    for baseline, differences in metrics["differences"].items():
        for metric, difference in differences.items():
            expected = (
                metrics["candidate"][metric]["value"]
                - metrics["baselines"][baseline][metric]["value"]
            )
            assert difference["value"] == pytest.approx(expected, abs=2e-6)
    assert metrics["differences"]["base_rate"]["auroc"]["verdict"] == "better"


def test_predictions_are_those_of_the_predictor_to_the_last_bit(
    evaluate_inputs: Path, predictions: pd.DataFrame
) -> None:
    test = read_test_pairs(Paths(inputs=evaluate_inputs, outputs=evaluate_inputs))
    pairs = [Pair(*row) for row in test[["smiles", "sequence"]].itertuples(index=False)]
    for name in MODELS:
        folder = CANDIDATE if name == "candidate" else BASELINES / name
        served = Predictor.load(evaluate_inputs / folder).predict(pairs)
        for field in ("score", "probability"):
            expected = [getattr(prediction, field) for prediction in served]
            np.testing.assert_array_equal(predictions[f"{name}_{field}"], expected)
        for field in (
            "drug_seen",
            "target_seen",
            "drug_similarity",
            "target_similarity",
            "domain_distance",
        ):
            expected = [getattr(prediction, field) for prediction in served]
            np.testing.assert_array_equal(predictions[field], expected)


def test_predictions_are_the_test_pairs_in_the_splits_order(
    evaluate_inputs: Path, predictions: pd.DataFrame
) -> None:
    splits = pd.read_parquet(evaluate_inputs / SPLITS)
    expected = splits[splits["split"] == "test"]
    keys = ["drug_key", "target_key"]
    assert predictions[keys].to_numpy().tolist() == expected[keys].to_numpy().tolist()
    assert predictions["label"].dtype == np.int8
    train = splits[splits["split"] == "train"]
    for side in ("drug", "target"):
        seen = predictions[f"{side}_key"].isin(train[f"{side}_key"])
        np.testing.assert_array_equal(predictions[f"{side}_seen"], seen)
        assert 0 < seen.sum() < len(seen)
    assert (predictions["drug_similarity"][predictions["drug_seen"]] == 1).all()


def test_strata_cover_the_test_pairs(outputs: Path, predictions: pd.DataFrame) -> None:
    strata = json.loads((outputs / EVALUATION / "strata.json").read_text())
    for kind in ("seen", "drug_similarity"):
        assert sum(stratum["n"] for stratum in strata[kind]) == len(predictions)
    unseen = strata["seen"][2]
    assert set(unseen["models"]) == set(MODELS)
    inside = predictions[~predictions["drug_seen"] & predictions["target_seen"]]
    expected = roc_auc_score(inside["label"], inside["candidate_score"])
    assert unseen["models"]["candidate"]["auroc"]["value"] == pytest.approx(expected, abs=1e-6)


def test_coverage_is_that_of_the_stored_limits(
    evaluate_inputs: Path, metrics: dict[str, Any], predictions: pd.DataFrame
) -> None:
    for name, table in {"candidate": metrics["candidate"], **metrics["baselines"]}.items():
        folder = CANDIDATE if name == "candidate" else BASELINES / name
        sets = Predictor.load(evaluate_inputs / folder).content.conformal
        probability = predictions[f"{name}_probability"]
        held = {1: probability >= sets.active_from, 0: probability <= sets.inactive_to}
        found = table["conformal"]
        assert found["target"] == CALIBRATION.conformal_coverage
        for label, key in ((1, "coverage_interacts"), (0, "coverage_no_interaction")):
            of_class = predictions["label"] == label
            assert found[key]["n"] == of_class.sum()
            assert found[key]["value"] == pytest.approx(held[label][of_class].mean(), abs=1e-6)
        assert found["mean_size"] == pytest.approx((held[0] * 1 + held[1]).mean(), abs=1e-6)


def test_applicability_counts_wrong_answers_on_both_sides_of_the_limit(
    outputs: Path, metrics: dict[str, Any], predictions: pd.DataFrame
) -> None:
    found = json.loads((outputs / EVALUATION / "applicability.json").read_text())
    wrong = (predictions["candidate_probability"] >= metrics["candidate"]["threshold"]) != (
        predictions["label"] == 1
    )
    inside = predictions["domain_distance"] <= 1
    for side, chosen in (("inside", inside), ("outside", ~inside)):
        assert found[side]["n"] == chosen.sum() > 0
        assert found[side]["value"] == pytest.approx(wrong[chosen].mean(), abs=1e-6)
    assert set(found["warnings"]) == {"domain_distance", "ambiguity"}  # no ensemble, no spread
    distance = predictions["domain_distance"]
    for question, truth in {
        "wrong": wrong,
        "drug_unseen": ~predictions["drug_seen"],
        "scaffold_unseen": ~predictions["scaffold_seen"],
    }.items():
        expected = roc_auc_score(truth, distance)
        entry = found["warnings"]["domain_distance"][question]
        assert entry["value"] == pytest.approx(expected, abs=1e-6)
        assert entry["low"] <= entry["value"] <= entry["high"]


def test_robustness_starts_from_the_predictions_and_finds_nothing_broken(
    outputs: Path, predictions: pd.DataFrame
) -> None:
    found = json.loads((outputs / EVALUATION / "robustness.json").read_text())
    assert found["n"] == 40
    assert found["n_test"] == len(predictions)
    keys = predictions[["drug_key", "target_key", "label"]]
    sample = predictions.iloc[sample_rows(keys, EVALUATE)]
    expected = roc_auc_score(sample["label"], sample["candidate_score"])
    perturbed = {entry["name"]: entry for entry in found["perturbations"]}
    assert len(perturbed) == 11
    for entry in perturbed.values():
        assert entry["n"] == 40
        assert entry["auroc_before"]["value"] == pytest.approx(expected, abs=1e-6)
        if entry["expected"] == "none":
            assert entry["invariant"] is True
            assert entry["auroc"] == entry["auroc_before"]
    assert (
        perturbed["target_swapped"]["mean_change"]
        > perturbed["residues_substituted_1"]["mean_change"]
    )


def test_confusion_rows_give_the_accuracy(outputs: Path, metrics: dict[str, Any]) -> None:
    table = pd.read_csv(outputs / EVALUATION_PLOTS / "confusion.csv")
    accuracy = (table["actual"] == table["predicted"]).mean()
    assert accuracy == pytest.approx(metrics["candidate"]["accuracy"]["value"], abs=1e-6)


def test_a_second_run_writes_the_same_bytes(
    evaluate_inputs: Path, outputs: Path, tracking: TrackingConfig, tmp_path: Path
) -> None:
    run(Paths(inputs=evaluate_inputs, outputs=tmp_path), evaluate=EVALUATE, tracking=tracking)
    assert files_below(tmp_path) == files_below(outputs)


def test_mlflow_holds_one_evaluation_per_model(
    evaluate_inputs: Path, outputs: Path, metrics: dict[str, Any], tracking: TrackingConfig
) -> None:
    store = configure(tracking)
    runs = store.client.search_runs([store.experiment_id("evaluation")])
    candidate = Predictor.load(evaluate_inputs / CANDIDATE).info
    found = [run for run in runs if run.data.tags[MODEL_TAG] == candidate.sha256]
    assert found
    assert found[0].data.metrics["auroc"] == metrics["candidate"]["auroc"]["value"]
    assert found[0].data.params["model.role"] == "candidate"
    assert found[0].data.params["evaluate.bootstrap_samples"] == "100"
    names = {run.info.run_name for run in runs}
    assert names == {"logistic_regression", "base_rate", "nearest_neighbour"}


def test_models_of_other_features_get_features_of_their_own(evaluate_inputs: Path) -> None:
    paths = Paths(inputs=evaluate_inputs, outputs=evaluate_inputs)
    test = read_test_pairs(paths)
    models = load_models(paths)
    assert list(models) == ["candidate", "base_rate", "nearest_neighbour"]
    _, together = score(models, test)
    other = models["base_rate"].content
    wider = FEATURE_PARAMETERS.model_copy(update={"fingerprint_bits": 1024})
    object.__setattr__(other, "features", wider)
    _, apart = score(models, test)
    for name in models:
        np.testing.assert_array_equal(apart[name].scores, together[name].scores)


def test_no_number_in_the_reports_is_nan(outputs: Path) -> None:
    def numbers(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [number for part in value.values() for number in numbers(part)]
        if isinstance(value, list):
            return [number for part in value for number in numbers(part)]
        return [value] if isinstance(value, float) else []

    for path in (METRICS, EVALUATION / "strata.json", EVALUATION / "applicability.json"):
        found = numbers(json.loads((outputs / path).read_text()))
        assert found
        assert all(math.isfinite(number) for number in found)
