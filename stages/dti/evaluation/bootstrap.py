"""Seeded bootstrap over pairs: resamples as counts, and the percentile interval of their values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_PAIRS = 10
MIN_PER_CLASS = 5
"""With fewer pairs, or fewer of either class, resamples repeat the same few pairs and an interval
would claim a certainty that isn't there: none is given."""

MAX_UNDEFINED_FRACTION = 0.05
"""The largest share of resamples that may leave a metric undefined and still give an interval."""

CHUNK_NUMBERS = 1 << 18
"""Numbers held at a time; small enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Interval:
    """Bounds of a value, or the reason why there are none."""

    low: float | None = None
    high: float | None = None
    reason: str | None = None


def resamples(pairs: int, samples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each pair is drawn, in chunks of shape ``(some, pairs)``, ``samples`` in all.

    Every resample draws ``pairs`` pairs with replacement, all pairs alike: it is not stratified
    by label, so the interval also holds the uncertainty of the prevalence. Pairs that share a
    drug or a target are drawn independently of each other. Equal arguments give equal counts,
    so models that are measured on them are compared pair by pair.
    """
    random = np.random.default_rng(seed)
    rows = max(1, CHUNK_NUMBERS // pairs)
    for first in range(0, samples, rows):
        size = min(rows, samples - first)
        drawn = random.integers(0, pairs, size=(size, pairs))
        drawn += np.arange(size)[:, None] * pairs
        counts = np.bincount(drawn.ravel(), minlength=size * pairs)
        yield counts.reshape(size, pairs).astype(np.float64)


def too_few(labels: NDArray[np.bool_]) -> str | None:
    """Return why these pairs are too few for an interval, or ``None`` where they are enough."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if len(labels) >= MIN_PAIRS and min(positives, negatives) >= MIN_PER_CLASS:
        return None
    return (
        f"{positives} positive and {negatives} negative pairs; an interval needs "
        f"{MIN_PAIRS} pairs and {MIN_PER_CLASS} of each class"
    )


def percentile_interval(draws: NDArray[np.float64], confidence: float) -> Interval:
    """Return the percentile interval of the resampled values ``(samples,)``.

    A resample in which the metric is undefined (NaN) is left out; where more than 5 % are, there
    is no interval. A metric at its bound (AUROC 1) is so in every resample, and its interval has
    no width: read it beside ``n``.
    """
    defined = draws[~np.isnan(draws)]
    undefined = len(draws) - len(defined)
    if undefined > MAX_UNDEFINED_FRACTION * len(draws):
        return Interval(reason=f"undefined in {undefined} of {len(draws)} resamples")
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))
