"""Curve data against scikit-learn; thinning; and that figures are the same every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference
from sklearn.calibration import calibration_curve

from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.evaluation.curves import (
    MAX_POINTS,
    confusion,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
)
from stages.dti.evaluation.metrics import Comparison, ModelOutput
from stages.dti.evaluation.strata import stratify
from stages.dti.reporting.figures import Results, save_figures
from tests.support.artifacts import COVERAGE

CONFIG = EvaluateConfig(
    bootstrap_samples=100,
    confidence=0.95,
    seed=0,
    calibration_bins=10,
    similarity_edges=[0.0, 0.5, 1.0],
    robustness_pairs=0,
    pretrained={},
)


def scored(pairs: int, decimals: int = 12) -> tuple[np.ndarray, dict[str, ModelOutput]]:
    random = np.random.default_rng(pairs)
    labels = random.random(pairs) < 0.3
    outputs = {}
    for name, signal in (("candidate", 1.5), ("base_rate", 0.0), ("gradient_boosting", 1.4)):
        noise = random.normal(size=pairs) if signal else np.zeros(pairs)
        scores = (1 / (1 + np.exp(1 - signal * labels - noise))).round(decimals)
        outputs[name] = ModelOutput(scores, scores, 0.4)
    return labels, outputs


def only(table: pd.DataFrame, model: str) -> pd.DataFrame:
    return table[table["model"] == model].drop(columns="model").reset_index(drop=True)


@pytest.mark.parametrize("decimals", [1, 12])
def test_roc_equals_scikit_learn(decimals: int) -> None:
    labels, outputs = scored(150, decimals)
    made = only(roc_curve(labels, outputs), "candidate")
    x, y, _ = reference.roc_curve(labels, outputs["candidate"].scores, drop_intermediate=False)
    known = set(zip(x.round(6), y.round(6), strict=True))
    ours = set(zip(made["false_positive_rate"], made["true_positive_rate"], strict=True))
    assert ours <= known
    assert len(ours) == len(made)
    area = reference.roc_auc_score(labels, outputs["candidate"].scores)
    assert np.trapezoid(made["true_positive_rate"], made["false_positive_rate"]) == pytest.approx(
        area, abs=1e-5
    )


@pytest.mark.parametrize("decimals", [1, 12])
def test_precision_recall_equals_scikit_learn(decimals: int) -> None:
    labels, outputs = scored(150, decimals)
    made = only(precision_recall_curve(labels, outputs), "candidate")
    precision, recall, _ = reference.precision_recall_curve(labels, outputs["candidate"].scores)
    known = set(zip(recall.round(6), precision.round(6), strict=True))
    assert set(zip(made["recall"][1:], made["precision"][1:], strict=True)) <= known
    steps = np.diff(made["recall"]) * made["precision"][1:]
    expected = reference.average_precision_score(labels, outputs["candidate"].scores)
    assert steps.sum() == pytest.approx(expected, abs=1e-4)


def test_curves_run_from_end_to_end_and_increase() -> None:
    labels, outputs = scored(3000)
    roc = roc_curve(labels, outputs)
    for model in outputs:
        part = only(roc, model)
        assert part.iloc[0].tolist() == [0, 0]
        assert part.iloc[-1].tolist() == [1, 1]
        assert (part.diff().dropna() >= 0).all().all()
        recall = only(precision_recall_curve(labels, outputs), model)["recall"]
        assert (recall.iloc[0], recall.iloc[-1]) == (0, 1)
        assert recall.is_monotonic_increasing


def test_long_curves_are_thinned_and_stay_close() -> None:
    labels, outputs = scored(5000)
    for table in (roc_curve(labels, outputs), precision_recall_curve(labels, outputs)):
        sizes = table.groupby("model").size()
        assert sizes.max() <= MAX_POINTS
        assert sizes["candidate"] > MAX_POINTS - 20
    made = only(roc_curve(labels, outputs), "candidate")
    area = np.trapezoid(made["true_positive_rate"], made["false_positive_rate"])
    exact = reference.roc_auc_score(labels, outputs["candidate"].scores)
    assert area == pytest.approx(exact, abs=2e-3)
    pd.testing.assert_frame_equal(roc_curve(labels, outputs), roc_curve(labels, outputs))


def test_a_constant_model_is_the_diagonal() -> None:
    labels, outputs = scored(100)
    made = only(roc_curve(labels, outputs), "base_rate")
    assert made.to_numpy().tolist() == [[0, 0], [1, 1]]
    flat = only(precision_recall_curve(labels, outputs), "base_rate")
    assert flat["precision"].tolist() == pytest.approx([labels.mean()] * 2, abs=1e-6)


def test_one_class_has_no_curve() -> None:
    _, outputs = scored(20)
    for curve in (roc_curve, precision_recall_curve):
        for labels in (np.zeros(20, bool), np.ones(20, bool)):
            assert curve(labels, outputs).empty
            assert "model" in curve(labels, outputs).columns


def test_reliability_equals_scikit_learn() -> None:
    labels, outputs = scored(400)
    made = only(reliability_curve(labels, outputs, CONFIG), "candidate")
    observed, mean = calibration_curve(labels, outputs["candidate"].probabilities, n_bins=10)
    np.testing.assert_allclose(made["observed_fraction"], observed, atol=1e-6)
    np.testing.assert_allclose(made["mean_probability"], mean, atol=1e-6)
    assert made["n"].sum() == 400
    assert (made["bin_low"] <= made["mean_probability"]).all()
    assert (made["mean_probability"] <= made["bin_high"]).all()


def test_probability_1_belongs_to_the_last_bin() -> None:
    output = ModelOutput(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.5)
    made = reliability_curve(np.array([False, True]), {"m": output}, CONFIG)
    assert made["bin_low"].tolist() == [0, 0.9]


def test_confusion_has_one_row_per_pair_in_words() -> None:
    labels, outputs = scored(200)
    table = confusion(labels, outputs["candidate"])
    predicted = outputs["candidate"].probabilities >= 0.4
    counted = pd.crosstab(table["actual"], table["predicted"])
    expected = reference.confusion_matrix(labels, predicted)
    words = ["no interaction", "interacts"]
    np.testing.assert_array_equal(counted.loc[words, words], expected)


def results(labels: np.ndarray, outputs: dict[str, ModelOutput]) -> Results:
    comparison = Comparison(labels, outputs, CONFIG)
    pairs = pd.DataFrame(
        {
            "label": labels,
            "drug_seen": True,
            "target_seen": np.arange(len(labels)) % 3 > 0,
            "drug_similarity": np.linspace(0.4, 1, len(labels)),
        }
    )
    return Results(
        names={name: name for name in outputs},
        metrics={name: comparison.table(name, COVERAGE) for name in outputs},
        roc=roc_curve(labels, outputs),
        precision_recall=precision_recall_curve(labels, outputs),
        reliability=reliability_curve(labels, outputs, CONFIG),
        confusion=confusion(labels, outputs["candidate"]),
        strata=stratify(pairs, outputs, CONFIG),
        confidence=CONFIG.confidence,
    )


FIGURES = ["confusion", "precision_recall", "reliability", "roc", "strata"]


def test_figures_are_the_same_to_the_byte(tmp_path: Path) -> None:
    drawn = results(*scored(100))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        save_figures(drawn, tmp_path / name)
    for name in FIGURES:
        one = (tmp_path / "one" / f"{name}.png").read_bytes()
        assert one == (tmp_path / "two" / f"{name}.png").read_bytes()
        assert one.startswith(b"\x89PNG")
        assert b"matplotlib" not in one.lower()
    assert sorted(path.stem for path in (tmp_path / "one").iterdir()) == FIGURES


def test_figures_of_a_set_too_small_to_measure(tmp_path: Path) -> None:
    output = ModelOutput(np.array([0.2, 0.7]), np.array([0.2, 0.7]), 0.5)
    save_figures(results(np.array([True, True]), {"candidate": output}), tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == FIGURES
