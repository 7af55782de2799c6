"""Coverage of prediction sets on exchangeable pairs, whatever the scores look like."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import betabinom, binomtest

from stages.dti.uncertainty.conformal import ConformalSets, coverage_report

coverages = st.sampled_from([0.7, 0.8, 0.9, 0.95])
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=25, deadline=None)
@given(
    coverage=coverages,
    seed=seeds,
    signal=st.floats(-1, 4),
    prevalence=st.floats(0.15, 0.85),
    levels=st.sampled_from([0, 3, 20]),
)
def test_over_many_draws_each_class_is_covered_as_promised(
    coverage: float, seed: int, signal: float, prevalence: float, levels: int
) -> None:
    """The promise is about validation and test drawn together: so many small ones are drawn.

    ``levels`` rounds the probabilities, so that many are equal, as isotonic calibration makes
    them: that may only raise coverage.
    """
    random = np.random.default_rng(seed)
    covered = {True: 0, False: 0}
    tried = {True: 0, False: 0}
    for _ in range(300):
        labels = random.random(60) < prevalence
        probabilities = 1 / (1 + np.exp(-(signal * labels + random.normal(size=60))))
        if levels:
            probabilities = np.round(probabilities * levels) / levels
        sets = ConformalSets.fit(probabilities[:-1], labels[:-1], coverage)
        held = sets.contains(probabilities[-1:])
        label = bool(labels[-1])
        tried[label] += 1
        covered[label] += bool(held[int(label)][0])
    for label in (True, False):
        # One-sided, and so rarely wrong by chance that 25 examples together are not.
        test = binomtest(covered[label], max(tried[label], 1), coverage, alternative="less")
        assert test.pvalue > 1e-6, (covered, tried)


@settings(max_examples=20, deadline=None)
@given(coverage=coverages, seed=seeds, signal=st.floats(0, 4))
def test_without_ties_the_covered_count_follows_its_law(
    coverage: float, seed: int, signal: float
) -> None:
    """Beta-binomial (Vovk 2012): neither too few nor, without ties, too many."""
    random = np.random.default_rng(seed)

    def draw(pairs: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        labels = np.arange(pairs) % 2 == 0
        return 1 / (1 + np.exp(-(signal * labels + random.normal(size=pairs)))), labels

    sets = ConformalSets.fit(*draw(400), coverage)
    report = coverage_report(sets, *draw(1000), confidence=0.95).plain()
    rank = int(np.ceil(201 * coverage - 1e-9))
    law = betabinom(500, rank, 201 - rank)
    for group in ("coverage_interacts", "coverage_no_interaction"):
        count = round(report[group]["value"] * 500)
        assert law.cdf(count) > 1e-7
        assert law.sf(count - 1) > 1e-7
        assert report[group]["low"] <= report[group]["value"] <= report[group]["high"]


@given(
    probabilities=st.lists(st.floats(0, 1), min_size=2, max_size=40),
    low=coverages,
    high=coverages,
    seed=seeds,
)
def test_more_coverage_never_rules_out_more(
    probabilities: list[float], low: float, high: float, seed: int
) -> None:
    values = np.array(probabilities)
    labels = np.random.default_rng(seed).random(len(values)) < 0.5
    small, large = (ConformalSets.fit(values, labels, coverage) for coverage in sorted((low, high)))
    for of_small, of_large in zip(small.contains(values), large.contains(values), strict=True):
        assert (of_large | ~of_small).all()
