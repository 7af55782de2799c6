"""Calibration and threshold: against scikit-learn, exhaustive search, and the stated rules."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import f1_score, matthews_corrcoef, recall_score

from stages.dti.errors import DataError, ModelError
from stages.dti.uncertainty.calibration import SCORE_CLIP, Calibration, choose_threshold


def validation(pairs: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Over-confident scores with a fifth of the pairs positive, and their labels."""
    random = np.random.default_rng(seed)
    labels = (random.random(pairs) < 0.2).astype(np.int8)
    return expit(3 * (labels - 0.5) + 2 * random.normal(size=pairs)), labels


def platt_reference(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Platt's cross-entropy on smoothed targets, minimised without derivatives."""
    x = logit(np.clip(scores, SCORE_CLIP, 1 - SCORE_CLIP))
    positives, negatives = labels.sum(), (1 - labels).sum()
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters: np.ndarray) -> float:
        odds = parameters[0] * x + parameters[1]
        return float(np.sum(np.logaddexp(0, odds) - target * odds))

    found = minimize(
        loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
    )
    return float(found.x[0]), float(found.x[1])


def test_platt_equals_an_independent_minimisation() -> None:
    scores, labels = validation()
    made = Calibration.fit("platt", scores, labels)
    slope, intercept = platt_reference(scores, labels)
    assert made.slope == pytest.approx(slope, abs=1e-5)
    assert made.intercept == pytest.approx(intercept, abs=1e-5)


def test_platt_brings_the_mean_probability_near_the_prevalence() -> None:
    scores, labels = validation(2000)
    before, after = scores.mean(), Calibration.fit("platt", scores, labels).apply(scores).mean()
    assert abs(after - labels.mean()) < 0.01 < abs(before - labels.mean())


def test_isotonic_equals_scikit_learn_inside_and_outside_the_fitted_range() -> None:
    scores, labels = validation()
    made = Calibration.fit("isotonic", scores, labels)
    reference = IsotonicRegression(out_of_bounds="clip").fit(scores, labels)
    grid = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(made.apply(grid), reference.predict(grid), atol=1e-12)


def test_none_leaves_scores_as_they_are() -> None:
    scores, labels = validation()
    np.testing.assert_array_equal(Calibration.fit("none", scores, labels).apply(scores), scores)


@pytest.mark.parametrize("method", ["platt", "isotonic", "none"])
def test_a_probability_does_not_depend_on_its_neighbours(method: str) -> None:
    scores, labels = validation(1001)
    made = Calibration.fit(method, scores, labels)  # type: ignore[arg-type]
    together = made.apply(scores)
    alone = np.concatenate([made.apply([score]) for score in scores])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(made.apply(scores[::-3]), together[::-3])


@pytest.mark.parametrize("method", ["platt", "isotonic", "none"])
def test_json_round_trip_is_exact(method: str) -> None:
    scores, labels = validation()
    made = Calibration.fit(method, scores, labels)  # type: ignore[arg-type]
    text = json.dumps(made.to_dict(), allow_nan=False)
    again = Calibration.from_dict(json.loads(text))
    assert again == made
    np.testing.assert_array_equal(again.apply(scores), made.apply(scores))


@pytest.mark.parametrize("method", ["platt", "isotonic"])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_scores_and_says_why(method: str, label: int) -> None:
    made = Calibration.fit(method, [0.2, 0.7], [label, label])  # type: ignore[arg-type]
    assert made.method == "none"
    assert "both classes" in made.to_dict()["reason"]
    assert Calibration.from_dict(made.to_dict()) == made
    np.testing.assert_array_equal(made.apply([0.2, 0.7]), [0.2, 0.7])


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_scores_that_rank_backwards_become_a_constant(method: str) -> None:
    labels = np.repeat([1, 0], 50)
    made = Calibration.fit(method, np.linspace(0, 1, 100), labels)  # type: ignore[arg-type]
    assert np.ptp(made.apply(np.linspace(0, 1, 100))) == pytest.approx(0, abs=1e-12)
    assert made.apply([0.3])[0] == pytest.approx(0.5)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_equal_scores_become_the_share_of_positives(method: str) -> None:
    labels = np.repeat([1, 0], [30, 70])
    made = Calibration.fit(method, np.full(100, 0.9), labels)  # type: ignore[arg-type]
    assert made.apply([0.9])[0] == pytest.approx(0.3, abs=0.02)


def test_separable_and_saturated_scores_keep_a_finite_slope() -> None:
    made = Calibration.fit("platt", [0.0, 0.0, 1.0, 1.0], [0, 0, 1, 1])
    probabilities = made.apply([0.0, 1.0])
    assert 0 < probabilities[0] < 0.5 < probabilities[1] < 1


def test_scores_that_are_no_probability_are_refused() -> None:
    made = Calibration("none")
    for wrong in (np.nan, -0.1, 1.1, np.inf):
        with pytest.raises(ModelError, match="1 of 2 scores"):
            made.apply([0.5, wrong])


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [([], [], "at least one"), ([0.1], [0, 1], "as many labels"), ([0.1, 0.2], [0, 2], "0 or 1")],
)
def test_unusable_validation_pairs_are_refused(
    scores: list[float], labels: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        Calibration.fit("platt", scores, labels)
    with pytest.raises(DataError, match=message):
        choose_threshold(scores, labels, "f1")


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"method": "plat"},
        {"method": "platt", "slope": 1.0},
        {"method": "platt", "slope": -1.0, "intercept": 0.0},
        {"method": "platt", "slope": float("nan"), "intercept": 0.0},
        {"method": "isotonic", "knots": [], "values": []},
        {"method": "isotonic", "knots": [0.1, 0.2], "values": [0.9, 0.1]},
        {"method": "isotonic", "knots": [0.2, 0.1], "values": [0.1, 0.9]},
        {"method": "isotonic", "knots": [0.1], "values": [1.5]},
    ],
)
def test_a_damaged_calibration_is_refused(stored: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        Calibration.from_dict(stored)


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'platt'"):
        Calibration.fit("plat", [0.1, 0.2], [0, 1])  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="did you mean 'youden'"):
        choose_threshold([0.1, 0.2], [0, 1], "yuden")  # type: ignore[arg-type]


def youden(labels: np.ndarray, predicted: np.ndarray) -> float:
    return float(recall_score(labels, predicted) + recall_score(1 - labels, ~predicted) - 1)


@pytest.mark.parametrize(
    ("metric", "reference"), [("f1", f1_score), ("mcc", matthews_corrcoef), ("youden", youden)]
)
@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_threshold_is_the_best_of_all(metric: str, reference: object, decimals: int) -> None:
    scores, labels = validation(150, seed=decimals)
    scores = scores.round(decimals)
    chosen = choose_threshold(scores, labels, metric)  # type: ignore[arg-type]
    every = [reference(labels, scores >= level) for level in np.unique(scores)]  # type: ignore[operator]
    assert reference(labels, scores >= chosen) >= max(every) - 1e-12  # type: ignore[operator]


def test_threshold_lies_half_way_between_two_probabilities() -> None:
    assert choose_threshold([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1], "f1") == pytest.approx(0.4)


def test_of_equal_thresholds_the_one_nearest_a_half_is_taken_then_the_lower() -> None:
    # Youden is 0.5 both at 0.75 (recall 1/2, no false alarm) and at 0.25 (recall 1, one of two).
    assert choose_threshold([0.1, 0.4, 0.6, 0.9], [0, 1, 0, 1], "youden") == pytest.approx(0.25)
    assert choose_threshold([0.05, 0.35, 0.55, 0.75], [0, 1, 0, 1], "youden") == pytest.approx(0.65)


def test_equal_probabilities_are_all_accepted_for_f1() -> None:
    assert choose_threshold([0.6, 0.6, 0.6], [0, 1, 0], "f1") == pytest.approx(0.3)


def test_one_class_gives_a_half() -> None:
    assert choose_threshold([0.1, 0.9], [1, 1], "f1") == 0.5


def test_neighbouring_floats_are_still_told_apart() -> None:
    low = 0.3
    high = float(np.nextafter(low, 1))
    threshold = choose_threshold([low, high], [0, 1], "f1")
    assert low < threshold <= high
