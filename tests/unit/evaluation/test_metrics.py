"""Metrics against scikit-learn, intervals against a slow plain bootstrap, and what is undefined."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn import metrics as reference

from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.errors import DataError
from stages.dti.evaluation.bootstrap import resamples
from stages.dti.evaluation.metrics import (
    METRICS,
    RANKING,
    Comparison,
    ModelOutput,
    WeightedMetrics,
)
from tests.support.artifacts import COVERAGE

BINS = 10
CONFIG = EvaluateConfig(
    bootstrap_samples=100,
    confidence=0.95,
    seed=3,
    calibration_bins=BINS,
    similarity_edges=[0.0, 1.0],
    robustness_pairs=0,
    pretrained={},
)


def evaluated(
    labels: ArrayLike,
    scores: ArrayLike,
    probabilities: ArrayLike,
    threshold: float,
    config: EvaluateConfig,
) -> dict[str, Any]:
    """Return the table of one model."""
    numbers = (np.asarray(values, dtype=np.float64) for values in (scores, probabilities))
    return Comparison(labels, {"model": ModelOutput(*numbers, threshold)}, config).table("model")


def scored(pairs: int = 200, signal: float = 1.0, seed: int = 0) -> tuple[np.ndarray, ModelOutput]:
    """Labels with 30 % positives, and scores on a grid of 0.05, so that many are equal."""
    random = np.random.default_rng(seed)
    labels = random.random(pairs) < 0.3
    raw = 0.3 + 0.15 * signal * labels + 0.2 * random.normal(size=pairs)
    scores = (np.clip(raw, 0, 1) * 20).round() / 20
    return labels, ModelOutput(scores, np.clip(scores * 0.9 + 0.02, 0, 1), 0.4)


def table_of(labels: Any, outputs: dict[str, ModelOutput]) -> dict[str, Any]:
    """Every metric of the model ``model``, as JSON."""
    return Comparison(labels, outputs, CONFIG).table("model", COVERAGE).plain()


def expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    total = 0.0
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        inside = (probabilities >= low) & (
            (probabilities < high) | ((number == BINS - 1) & (probabilities == 1))
        )
        if inside.any():
            gap = abs(probabilities[inside].mean() - labels[inside].mean())
            total += inside.mean() * gap
    return total


REFERENCE: dict[str, Callable[[np.ndarray, ModelOutput], float]] = {
    "accuracy": lambda y, o: reference.accuracy_score(y, o.probabilities >= o.threshold),
    "precision": lambda y, o: reference.precision_score(y, o.probabilities >= o.threshold),
    "recall": lambda y, o: reference.recall_score(y, o.probabilities >= o.threshold),
    "specificity": lambda y, o: reference.recall_score(
        y, o.probabilities >= o.threshold, pos_label=0
    ),
    "f1": lambda y, o: reference.f1_score(y, o.probabilities >= o.threshold),
    "mcc": lambda y, o: reference.matthews_corrcoef(y, o.probabilities >= o.threshold),
    "auroc": lambda y, o: reference.roc_auc_score(y, o.scores),
    "auprc": lambda y, o: reference.average_precision_score(y, o.scores),
    "brier": lambda y, o: reference.brier_score_loss(y, o.probabilities),
    "ece": lambda y, o: expected_calibration_error(y, o.probabilities),
}


def repeated(
    labels: np.ndarray, output: ModelOutput, counts: np.ndarray
) -> tuple[np.ndarray, ModelOutput]:
    """Labels and output with each pair as often as it was drawn."""
    rows = np.repeat(np.arange(len(labels)), counts.astype(int))
    drawn = ModelOutput(output.scores[rows], output.probabilities[rows], output.threshold)
    return labels[rows], drawn


def test_every_metric_has_a_reference() -> None:
    assert set(REFERENCE) == set(METRICS)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("signal", [0.0, 1.0, 8.0])
def test_values_equal_scikit_learn(metric: str, signal: float) -> None:
    labels, output = scored(signal=signal, seed=int(signal))
    made = WeightedMetrics(labels, output, BINS).values(np.ones((1, len(labels))))
    assert made[metric][0] == pytest.approx(REFERENCE[metric](labels, output), abs=1e-12)


def test_values_of_distinct_scores_equal_scikit_learn() -> None:
    random = np.random.default_rng(5)
    labels = random.random(300) < 0.1
    scores = random.random(300)
    made = table_of(labels, {"model": ModelOutput(scores, scores, 0.5)})
    for metric in METRICS:
        expected = REFERENCE[metric](labels, ModelOutput(scores, scores, 0.5))
        assert made[metric]["value"] == pytest.approx(expected, abs=1e-6)


def test_resampled_values_equal_scikit_learn_on_repeated_rows() -> None:
    labels, output = scored(120)
    weighted = WeightedMetrics(labels, output, BINS)
    counts = next(resamples(len(labels), 20, seed=1))
    made = weighted.values(counts)
    for number, row in enumerate(counts):
        drawn_labels, drawn_output = repeated(labels, output, row)
        for metric in METRICS:
            expected = REFERENCE[metric](drawn_labels, drawn_output)
            assert made[metric][number] == pytest.approx(expected, abs=1e-12), metric


def test_intervals_equal_a_slow_plain_bootstrap() -> None:
    labels, output = scored(120)
    made = table_of(labels, {"model": output})
    drawn = [
        repeated(labels, output, row)
        for chunk in resamples(len(labels), CONFIG.bootstrap_samples, CONFIG.seed)
        for row in chunk
    ]
    for metric in METRICS:
        draws = np.array([REFERENCE[metric](*resample) for resample in drawn])
        if metric == "ece":
            value = REFERENCE[metric](labels, output)
            draws = np.maximum(draws - draws.mean() + value, 0)
        low, high = np.percentile(draws, [2.5, 97.5])
        assert made[metric]["low"] == pytest.approx(low, abs=1e-6), metric
        assert made[metric]["high"] == pytest.approx(high, abs=1e-6), metric


def test_the_interval_of_accuracy_is_as_wide_as_the_binomial_says() -> None:
    labels, output = scored(1000)
    made = Comparison(
        labels, {"model": output}, CONFIG.model_copy(update={"bootstrap_samples": 2000})
    )
    entry = made.metrics("model")["accuracy"].plain()
    accuracy = entry["value"]
    half = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 1000)
    assert entry["low"] == pytest.approx(accuracy - half, abs=0.1 * half)
    assert entry["high"] == pytest.approx(accuracy + half, abs=0.1 * half)


def test_the_interval_of_calibration_error_holds_its_value() -> None:
    """Resampling inflates it: without the shift the value may lie below its own interval."""
    random = np.random.default_rng(0)
    probabilities = random.random(300)
    labels = random.random(300) < probabilities
    entry = table_of(labels, {"model": ModelOutput(probabilities, probabilities, 0.5)})["ece"]
    assert entry["low"] < entry["value"] < entry["high"]


def test_tables_hold_counts_threshold_and_rounded_numbers() -> None:
    labels, output = scored()
    table = table_of(labels, {"model": output})
    assert set(table) == {"n", "prevalence", "threshold", "conformal", *METRICS}
    assert table["n"] == 200
    assert table["prevalence"] == labels.mean().round(6)
    assert table["threshold"] == 0.4
    numbers = [table[metric][bound] for metric in METRICS for bound in ("value", "low", "high")]
    assert all(number == round(number, 6) for number in numbers)
    for metric in METRICS:
        assert table[metric]["low"] <= table[metric]["value"] <= table[metric]["high"]


def test_auroc_ranks_by_score_brier_by_probability_and_f1_by_threshold() -> None:
    labels, output = scored()
    table = table_of(labels, {"model": output})
    flat = ModelOutput(output.scores, np.full(len(labels), 0.2), 0.4)
    other = table_of(labels, {"model": flat})
    assert other["auroc"] == table["auroc"]
    assert other["auprc"] == table["auprc"]
    assert other["brier"] != table["brier"]
    assert other["recall"]["value"] == 0


def test_a_pair_at_the_threshold_is_predicted_to_interact() -> None:
    table = table_of(
        [1, 0], {"model": ModelOutput(np.array([0.5, 0.4]), np.array([0.5, 0.4]), 0.5)}
    )
    assert table["recall"]["value"] == 1
    assert table["specificity"]["value"] == 1


def test_a_constant_model_is_at_chance() -> None:
    labels, _ = scored()
    table = table_of(labels, {"model": ModelOutput(np.full(200, 0.3), np.full(200, 0.3), 0.1)})
    assert table["auroc"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert table["mcc"]["value"] == 0
    assert table["auprc"]["value"] == table["prevalence"]


@pytest.mark.parametrize(
    ("label", "undefined"),
    [
        (0, {"recall": "no pair interacts"}),
        (1, {"specificity": "every pair interacts"}),
    ],
)
def test_one_class_leaves_ranking_undefined(label: int, undefined: dict[str, str]) -> None:
    scores = np.linspace(0, 1, 40)
    table = table_of(np.full(40, label), {"model": ModelOutput(scores, scores, 0.5)})
    one_class = dict.fromkeys(("auroc", "auprc", "mcc"), "the pairs hold one class")
    for metric, reason in (one_class | undefined).items():
        assert table[metric] == {"value": None, "low": None, "high": None, "reason": reason}
    assert table["accuracy"]["value"] == 0.5
    json.dumps(table, allow_nan=False)


def test_precision_is_undefined_where_nothing_is_predicted() -> None:
    labels, output = scored()
    table = table_of(labels, {"model": ModelOutput(output.scores, output.probabilities, 1.0)})
    assert table["precision"]["value"] is None
    assert table["precision"]["reason"] == "no pair is predicted to interact"
    assert table["f1"]["value"] == 0
    assert table["mcc"]["value"] == 0


def test_an_interval_is_dropped_where_many_resamples_leave_the_metric_undefined() -> None:
    labels, output = scored()
    only_one = np.zeros(200)
    only_one[int(np.flatnonzero(labels)[0])] = 1.0
    table = table_of(labels, {"model": ModelOutput(output.scores, only_one, 0.5)})
    assert table["precision"]["value"] == 1
    assert table["precision"]["low"] is None
    assert "of 100 resamples" in table["precision"]["reason"]
    assert table["recall"]["low"] is not None


@pytest.mark.parametrize("labels", [[0, 1] * 4, [0] * 20 + [1] * 4])
def test_few_pairs_have_values_but_no_interval(labels: list[int]) -> None:
    scores = np.linspace(0, 1, len(labels))
    table = table_of(labels, {"model": ModelOutput(scores, scores, 0.5)})
    for metric in METRICS:
        assert table[metric]["value"] is not None
        assert table[metric]["low"] is None
        assert "5 of each class" in table[metric]["reason"]


def test_no_pairs_is_an_error() -> None:
    with pytest.raises(DataError, match="no pairs to evaluate"):
        table_of([], {"model": ModelOutput(np.array([]), np.array([]), 0.5)})


def test_the_same_numbers_whoever_else_is_compared() -> None:
    labels, output = scored()
    _, other = scored(signal=2.0, seed=9)
    alone = table_of(labels, {"model": output})
    beside = table_of(labels, {"other": other, "model": output})
    assert alone == beside


def test_another_seed_gives_another_interval_but_the_same_value() -> None:
    labels, output = scored()
    one = Comparison(labels, {"model": output}, CONFIG).metrics("model")["auroc"].plain()
    reseeded = CONFIG.model_copy(update={"seed": 4})
    two = Comparison(labels, {"model": output}, reseeded).metrics("model")["auroc"].plain()
    assert one["value"] == two["value"]
    assert one["low"] != two["low"]


def test_differences_are_paired() -> None:
    labels, weak = scored(400, signal=1.0)
    strong = ModelOutput(np.clip(weak.scores + 0.1 * labels, 0, 1), weak.probabilities, 0.4)
    comparison = Comparison(labels, {"strong": strong, "weak": weak}, CONFIG)
    for metric in RANKING:
        made = comparison.difference("strong", "weak", metric).plain()
        draws = []
        for chunk in resamples(400, CONFIG.bootstrap_samples, CONFIG.seed):
            for row in chunk:
                pair = [
                    REFERENCE[metric](*repeated(labels, output, row)) for output in (strong, weak)
                ]
                draws.append(pair[0] - pair[1])
        low, high = np.percentile(draws, [2.5, 97.5])
        assert made["low"] == pytest.approx(low, abs=1e-6)
        assert made["high"] == pytest.approx(high, abs=1e-6)
        assert made["verdict"] == "better"
        assert comparison.difference("weak", "strong", metric).plain()["verdict"] == "worse"


def test_models_that_rank_alike_are_equal() -> None:
    labels, output = scored()
    _, noisy = scored(seed=1)
    noise = np.random.default_rng(1).normal(size=200) * 0.05
    near = ModelOutput(output.scores + noise, noisy.probabilities, 0.4)
    comparison = Comparison(labels, {"a": output, "b": output, "near": near}, CONFIG)
    same = comparison.difference("a", "b", "auroc").plain()
    assert same == {"value": 0, "low": 0, "high": 0, "verdict": "equal within the interval"}
    close = comparison.difference("a", "near", "auroc").plain()
    assert close["low"] < 0 < close["high"]
    assert close["verdict"] == "equal within the interval"


def test_a_difference_without_an_interval_has_no_verdict() -> None:
    scores = np.linspace(0, 1, 8)
    output = ModelOutput(scores, scores, 0.5)
    few = (
        Comparison([0, 1] * 4, {"a": output, "b": output}, CONFIG)
        .difference("a", "b", "auroc")
        .plain()
    )
    assert few["value"] == 0
    assert few["low"] is few["high"] is few["verdict"] is None
    one_class = Comparison([1] * 8, {"a": output, "b": output}, CONFIG)
    undefined = one_class.difference("a", "b", "auprc").plain()
    assert undefined["value"] is undefined["verdict"] is None
    assert undefined["reason"] == "the pairs hold one class"
