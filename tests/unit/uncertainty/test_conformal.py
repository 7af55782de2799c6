"""Prediction sets: the quantile by hand, the words, and a report that sees a broken promise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import beta, binom

from stages.dti.uncertainty.conformal import FAILS, HOLDS, ConformalSets, coverage_report


def test_the_limit_is_the_rank_of_n_plus_one() -> None:
    """9 positives, coverage 0.9: rank ceil(10 · 0.9) = 9, the least conforming of them all."""
    probabilities = np.concatenate([np.arange(1, 10) / 10, np.arange(1, 20) / 20])
    labels = np.concatenate([np.ones(9), np.zeros(19)])
    sets = ConformalSets.fit(probabilities, labels, 0.9)
    assert (sets.positives, sets.negatives) == (9, 19)
    assert sets.active_from == 0.1
    assert sets.inactive_to == 18 / 20  # rank ceil(20 · 0.9) = 18, of increasing probabilities
    at_80 = ConformalSets.fit(probabilities, labels, 0.8)
    assert at_80.active_from == 0.2
    assert at_80.inactive_to == 16 / 20


def test_a_class_with_too_few_pairs_always_stays_open() -> None:
    sets = ConformalSets.fit(np.array([0.9] * 8 + [0.1] * 9), np.array([1] * 8 + [0] * 9), 0.9)
    assert sets.active_from == 0.0  # 8 pairs would need rank 9
    assert sets.inactive_to == 0.1
    assert sets.words(np.array([0.0, 0.05, 1.0])) == ["either", "either", "interacts"]


def test_the_four_sets_have_their_words() -> None:
    apart = ConformalSets(0.9, 50, 50, active_from=0.6, inactive_to=0.4)
    assert apart.words(np.array([0.2, 0.4, 0.5, 0.6, 0.9])) == [
        "no_interaction",
        "no_interaction",
        "neither",
        "interacts",
        "interacts",
    ]
    overlapping = ConformalSets(0.9, 50, 50, active_from=0.4, inactive_to=0.6)
    assert overlapping.words(np.array([0.3, 0.5, 0.7])) == ["no_interaction", "either", "interacts"]


def test_a_constant_model_covers_by_saying_nothing() -> None:
    labels = np.arange(100) % 4 == 0
    constant = np.full(100, 0.25)
    sets = ConformalSets.fit(constant, labels, 0.9)
    report = coverage_report(sets, constant, labels, 0.95).plain()
    assert report["both_fraction"] == 1
    assert report["mean_size"] == 2
    assert report["coverage"]["value"] == 1
    assert report["verdict"] == HOLDS


def test_the_report_counts_and_its_interval_is_clopper_pearson() -> None:
    sets = ConformalSets(0.9, 400, 400, active_from=0.4, inactive_to=0.6)
    probabilities = np.array([0.5, 0.7, 0.3, 0.5, 0.2, 0.7])
    labels = np.array([True, True, True, False, False, False])
    report = coverage_report(sets, probabilities, labels, 0.95).plain()
    assert report["coverage_interacts"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert report["coverage_no_interaction"]["value"] == pytest.approx(2 / 3, abs=1e-6)
    assert report["coverage"]["n"] == 6
    assert report["coverage"]["low"] == pytest.approx(beta.ppf(0.025, 4, 3), abs=1e-6)
    assert report["coverage"]["high"] == pytest.approx(beta.ppf(0.975, 5, 2), abs=1e-6)
    assert report["mean_size"] == pytest.approx(8 / 6, abs=1e-6)
    assert report["both_fraction"] == pytest.approx(2 / 6, abs=1e-6)
    assert report["empty_fraction"] == 0


def test_one_class_alone_is_reported_without_the_other() -> None:
    sets = ConformalSets(0.9, 50, 50, active_from=0.4, inactive_to=0.6)
    report = coverage_report(sets, np.array([0.1, 0.2]), np.array([False, False]), 0.95).plain()
    assert report["coverage_interacts"] == {"n": 0, "value": None, "low": None, "high": None}
    assert report["verdict"] == HOLDS


def test_shifted_scores_break_the_promise_and_the_report_says_so() -> None:
    random = np.random.default_rng(1)

    def draw(pairs: int, shift: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        labels = random.random(pairs) < 0.3
        logits = 2.0 * labels - 1 + random.normal(size=pairs) - shift
        return 1 / (1 + np.exp(-logits)), labels

    sets = ConformalSets.fit(*draw(600, 0.0), coverage=0.9)
    same = coverage_report(sets, *draw(600, 0.0), confidence=0.95).plain()
    shifted = coverage_report(sets, *draw(600, 1.0), confidence=0.95).plain()
    assert same["verdict"] == HOLDS
    assert shifted["verdict"] == FAILS
    assert shifted["coverage_interacts"]["high"] < 0.9
    assert shifted["coverage_no_interaction"]["value"] > 0.9  # only the sum would have hidden it


def test_a_coverage_a_little_above_a_rank_needs_the_next_one() -> None:
    probabilities = np.arange(1, 20) / 20
    of_nine = ConformalSets.fit(probabilities, np.arange(19) < 9, 0.9005)
    assert of_nine.active_from == 0.0  # 10 · 0.9005 is 9.005: nine pairs are too few
    assert ConformalSets.fit(probabilities, np.arange(19) < 9, 0.9).active_from == 0.05


@pytest.mark.parametrize(("calibration", "coverage", "rank"), [(19, 0.8, 16), (9, 0.9, 9)])
def test_the_verdict_turns_where_chance_no_longer_explains_it(
    calibration: int, coverage: float, rank: int
) -> None:
    """Vovk (2012): the coverage of a class, given validation, is Beta(rank, n + 1 - rank)."""
    tests = 40

    def chance(covered: int) -> float:
        def at(p: float) -> float:
            return float(binom.cdf(covered, tests, p) * beta.pdf(p, rank, calibration + 1 - rank))

        return float(quad(at, 0, 1)[0])

    limit = next(covered for covered in range(tests) if chance(covered) >= 0.025)
    sets = ConformalSets(coverage, calibration, calibration, active_from=0.5, inactive_to=0.9)
    for covered, verdict in ((limit - 1, FAILS), (limit, HOLDS)):
        probabilities = np.where(np.arange(tests) < covered, 0.7, 0.3)
        report = coverage_report(sets, probabilities, np.ones(tests, dtype=bool), 0.95).plain()
        assert report["coverage_interacts"]["value"] == covered / tests
        assert report["verdict"] == verdict
