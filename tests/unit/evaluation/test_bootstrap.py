"""Resamples and percentile intervals."""

from __future__ import annotations

import numpy as np
import pytest

from stages.dti.evaluation import bootstrap
from stages.dti.evaluation.bootstrap import percentile_interval, resamples, too_few


def all_resamples(pairs: int, samples: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(resamples(pairs, samples, seed)))


def test_every_resample_draws_as_many_pairs_as_there_are() -> None:
    counts = all_resamples(pairs=37, samples=50)
    assert counts.shape == (50, 37)
    np.testing.assert_array_equal(counts.sum(axis=1), 37)


def test_counts_follow_the_multinomial_distribution() -> None:
    counts = all_resamples(pairs=40, samples=5000)
    # Each count is binomial with n = 40, p = 1/40: mean 1, variance 0.975, P(0) = 0.363.
    assert counts.mean() == pytest.approx(1, abs=1e-12)
    assert counts.var(axis=0).mean() == pytest.approx(0.975, abs=0.02)
    assert (counts == 0).mean() == pytest.approx((39 / 40) ** 40, abs=0.005)


def test_equal_seeds_give_equal_resamples_and_others_do_not() -> None:
    np.testing.assert_array_equal(all_resamples(20, 30, seed=1), all_resamples(20, 30, seed=1))
    assert (all_resamples(20, 30, seed=1) != all_resamples(20, 30, seed=2)).any()


def test_chunks_do_not_change_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = all_resamples(50, 40)
    monkeypatch.setattr(bootstrap, "CHUNK_NUMBERS", 150)
    chunks = list(resamples(50, 40, 0))
    assert [len(chunk) for chunk in chunks] == [3] * 13 + [1]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)


def test_percentile_interval_of_a_known_distribution() -> None:
    interval = percentile_interval(np.linspace(0, 1, 1001), confidence=0.9)
    assert interval.low == pytest.approx(0.05)
    assert interval.high == pytest.approx(0.95)


def test_undefined_resamples_are_left_out_up_to_a_share() -> None:
    draws = np.linspace(0, 1, 100)
    draws[::20] = np.nan
    few = percentile_interval(draws, 0.95)
    assert few.low is not None
    assert few.low == pytest.approx(np.nanquantile(draws, 0.025))
    draws[1] = np.nan
    many = percentile_interval(draws, 0.95)
    assert many.low is many.high is None
    assert many.reason == "undefined in 6 of 100 resamples"


@pytest.mark.parametrize(
    ("positives", "negatives", "enough"),
    [(5, 5, True), (4, 100, False), (100, 4, False), (0, 100, False), (5, 4, False)],
)
def test_least_number_of_pairs(positives: int, negatives: int, enough: bool) -> None:
    labels = np.repeat([True, False], [positives, negatives])
    reason = too_few(labels)
    if enough:
        assert reason is None
    else:
        assert reason is not None
        assert reason.startswith(f"{positives} positive and {negatives} negative")
