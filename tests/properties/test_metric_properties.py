"""Properties that metrics, calibration and threshold have for any scores and labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages.dti.evaluation.metrics import METRICS, ModelOutput, WeightedMetrics
from stages.dti.uncertainty.calibration import Calibration, choose_threshold

pytestmark = pytest.mark.filterwarnings("error")

# Steps of 1/64 are exact in binary, and small enough a set that equal scores are common.
SCORE = st.integers(0, 64).map(lambda step: step / 64)
PAIRS = st.lists(st.tuples(SCORE, st.booleans()), min_size=1, max_size=40)
TWO_CLASSES = PAIRS.filter(lambda pairs: len({label for _, label in pairs}) == 2)
METHOD = st.sampled_from(["platt", "isotonic", "none"])
ANY_SCORE = st.floats(0, 1, allow_subnormal=False)

few = settings(max_examples=60, deadline=None)


def split(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in pairs]), np.array([label for _, label in pairs])


def values(scores: np.ndarray, labels: np.ndarray, threshold: float = 0.5) -> dict[str, float]:
    output = ModelOutput(scores, np.clip(scores, 0, 1), threshold)
    made = WeightedMetrics(labels, output, 10).values(np.ones((1, len(labels))))
    return {metric: float(value[0]) for metric, value in made.items()}


@few
@given(PAIRS, SCORE)
def test_every_metric_lies_within_its_bounds(
    pairs: list[tuple[float, bool]], threshold: float
) -> None:
    made = values(*split(pairs), threshold)
    for metric in METRICS:
        low = -1 if metric == "mcc" else 0
        assert np.isnan(made[metric]) or low - 1e-12 <= made[metric] <= 1 + 1e-12


@few
@given(TWO_CLASSES, st.sampled_from([np.exp, np.cbrt, np.arctan, lambda x: 3 * x - 7]))
def test_ranking_ignores_any_increasing_transform(pairs: list[tuple[float, bool]], f) -> None:  # type: ignore[no-untyped-def]
    scores, labels = split(pairs)
    assume(len(np.unique(f(scores))) == len(np.unique(scores)))
    before, after = values(scores, labels), values(f(scores), labels)
    assert (before["auroc"], before["auprc"]) == (after["auroc"], after["auprc"])


@few
@given(TWO_CLASSES, st.randoms())
def test_the_order_of_pairs_does_not_matter(pairs: list[tuple[float, bool]], random) -> None:  # type: ignore[no-untyped-def]
    before = values(*split(pairs))
    random.shuffle(pairs)
    after = values(*split(pairs))
    for metric in METRICS:
        assert after[metric] == pytest.approx(before[metric], abs=1e-12, nan_ok=True)


@few
@given(TWO_CLASSES)
def test_reversed_scores_or_swapped_labels_give_one_minus_auroc(
    pairs: list[tuple[float, bool]],
) -> None:
    scores, labels = split(pairs)
    auroc = values(scores, labels)["auroc"]
    assert values(1 - scores, labels)["auroc"] == pytest.approx(1 - auroc)
    assert values(scores, ~labels)["auroc"] == pytest.approx(1 - auroc)


@few
@given(TWO_CLASSES, st.integers(2, 4))
def test_repeating_every_pair_changes_nothing(pairs: list[tuple[float, bool]], times: int) -> None:
    scores, labels = split(pairs)
    once = values(scores, labels)
    repeated = values(np.tile(scores, times), np.tile(labels, times))
    for metric in METRICS:
        assert repeated[metric] == pytest.approx(once[metric], abs=1e-12, nan_ok=True)


@few
@given(TWO_CLASSES)
def test_auprc_is_at_least_that_of_the_worst_ranking(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    negatives, positives = int((~labels).sum()), int(labels.sum())
    worst = np.mean([rank / (negatives + rank) for rank in range(1, positives + 1)])
    assert values(scores, labels)["auprc"] >= worst - 1e-12
    assert values(labels.astype(float), labels)["auprc"] == 1


@few
@given(PAIRS)
def test_a_model_that_knows_the_labels_is_perfect(pairs: list[tuple[float, bool]]) -> None:
    _, labels = split(pairs)
    made = values(labels.astype(float), labels)
    assert made["accuracy"] == 1
    assert made["brier"] == made["ece"] == 0
    assert np.isnan(made["mcc"]) or made["mcc"] == pytest.approx(1)


@few
@given(METHOD, PAIRS, st.lists(ANY_SCORE, min_size=1, max_size=30))
def test_calibration_keeps_order_and_bounds_and_ignores_neighbours(
    method: str, pairs: list[tuple[float, bool]], scores: list[float]
) -> None:
    made = Calibration.fit(method, *split(pairs))  # type: ignore[arg-type]
    increasing = np.sort(scores)
    probabilities = made.apply(increasing)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(probabilities) >= -1e-15).all()
    alone = np.array([made.apply(np.array([score]))[0] for score in increasing])
    np.testing.assert_array_equal(probabilities, alone)
    assert Calibration.from_dict(made.to_dict()) == made


@few
@given(TWO_CLASSES, st.sampled_from(["f1", "mcc", "youden"]))
def test_no_threshold_is_better_than_the_chosen_one(
    pairs: list[tuple[float, bool]], metric: str
) -> None:
    probabilities, labels = split(pairs)
    chosen = choose_threshold(probabilities, labels, metric)  # type: ignore[arg-type]
    assert 0 <= chosen <= 1

    def quality(threshold: float) -> float:
        made = values(probabilities, labels, threshold)
        return made["recall"] + made["specificity"] if metric == "youden" else made[metric]

    assert quality(chosen) >= max(quality(step / 64) for step in range(65)) - 1e-12
