"""Conformal prediction: for each pair the set of answers that cannot be ruled out.

Split conformal prediction (Papadopoulos et al. 2002), class by class ("Mondrian", Vovk, Gammerman
and Shafer 2005; in chemistry Norinder et al. 2014): the non-conformity of a pair with an answer is
``1 - probability`` of that answer; an answer is ruled out where it would be less conforming than
all but a share ``1 - coverage`` of the validation pairs for which it is true. Whatever the model,
if validation and test pairs are exchangeable, then of the pairs that interact a share of at least
``coverage`` has "interacts" in its set, and likewise of those that do not.

The promise is as good as its premise. Pairs of one drug or target are not exchangeable with those
of another, so a cold split strains it; and where the pairs it is fitted on also chose the best
epoch, the calibration or an ensemble's weights, the probabilities are a little too good on them.
``calibration.conformal_fraction`` sets pairs aside that served nothing else. ``coverage_report``
measures what became of the promise on the test pairs.

scipy.stats is imported where coverage is measured: whoever only predicts need not wait for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.dti.artifacts.measured import CountedShare
from stages.dti.artifacts.metrics import Coverage

PredictionSet = Literal["interacts", "no_interaction", "either", "neither"]

CoverageVerdict = Literal["as promised", "below the promise"]
HOLDS: CoverageVerdict = "as promised"
FAILS: CoverageVerdict = "below the promise"

DECIMALS = 6


@dataclass(frozen=True)
class ConformalSets:
    """Which answers a calibrated probability leaves open.

    Attributes:
        coverage: the share of pairs of each class whose set shall hold the truth, such as 0.9.
        positives, negatives: validation pairs of each class that the limits come from.
        active_from: "interacts" stays open at this probability and above.
        inactive_to: "no interaction" stays open at this probability and below.
    """

    coverage: float
    positives: int
    negatives: int
    active_from: float
    inactive_to: float

    @classmethod
    def fit(cls, probabilities: ArrayLike, labels: ArrayLike, coverage: float) -> ConformalSets:
        """Fit on validation: calibrated probabilities and labels of 0 and 1, ``(pairs,)`` each.

        The limit is the ``ceil((n + 1) · coverage)``-th smallest non-conformity of a class's ``n``
        pairs; where they are too few for it, the answer always stays open.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        positive = np.asarray(labels).astype(bool)
        # 1 - p falls as p rises, so its k-th smallest is the k-th largest p: no rounding of 1 - p.
        of_positives, of_negatives = np.sort(p[positive])[::-1], np.sort(p[~positive])
        rank_positive = _rank(len(of_positives), coverage)
        rank_negative = _rank(len(of_negatives), coverage)
        return cls(
            coverage=coverage,
            positives=len(of_positives),
            negatives=len(of_negatives),
            active_from=float(of_positives[rank_positive - 1])
            if rank_positive <= len(of_positives)
            else 0.0,
            inactive_to=float(of_negatives[rank_negative - 1])
            if rank_negative <= len(of_negatives)
            else 1.0,
        )

    def contains(
        self, probabilities: NDArray[np.float64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return whether each pair's set holds "no interaction", and "interacts", ``(pairs,)``."""
        return probabilities <= self.inactive_to, probabilities >= self.active_from

    def words(self, probabilities: NDArray[np.float64]) -> list[PredictionSet]:
        """Return each pair's set in a word."""
        names: dict[tuple[bool, bool], PredictionSet] = {
            (False, True): "interacts",
            (True, False): "no_interaction",
            (True, True): "either",
            (False, False): "neither",
        }
        inactive, active = self.contains(probabilities)
        return [names[pair] for pair in zip(inactive.tolist(), active.tolist(), strict=True)]


def coverage_report(
    sets: ConformalSets,
    probabilities: NDArray[np.float64],
    labels: NDArray[np.bool_],
    confidence: float,
) -> Coverage:
    """Return what the sets of labelled pairs ``(pairs,)`` cover, against what was promised.

    Intervals are exact binomial (Clopper-Pearson). The verdict is "below the promise" where so few
    pairs of a class are covered as happens with a probability below ``(1 - confidence) / 2`` if
    validation and test are exchangeable, else "as promised". The number of covered pairs is then
    beta-binomial (Vovk 2012), which, unlike the interval, counts in that validation was limited
    too.
    """
    inactive, active = sets.contains(probabilities)
    covered = np.where(labels, active, inactive)
    size = inactive.astype(np.int64) + active
    groups = {
        "coverage": np.ones(len(labels), dtype=bool),
        "coverage_interacts": labels,
        "coverage_no_interaction": ~labels,
    }
    shares = {name: share(covered[chosen], confidence) for name, chosen in groups.items()}
    tails = (
        _tail(int(active[labels].sum()), int(labels.sum()), sets.positives, sets.coverage),
        _tail(int(inactive[~labels].sum()), int((~labels).sum()), sets.negatives, sets.coverage),
    )
    return Coverage(
        target=sets.coverage,
        coverage=shares["coverage"],
        coverage_interacts=shares["coverage_interacts"],
        coverage_no_interaction=shares["coverage_no_interaction"],
        mean_size=round(float(size.mean()), DECIMALS),
        empty_fraction=round(float((size == 0).mean()), DECIMALS),
        both_fraction=round(float((size == 2).mean()), DECIMALS),
        verdict=FAILS if min(tails) < (1 - confidence) / 2 else HOLDS,
    )


def share(true: NDArray[np.bool_], confidence: float) -> CountedShare:
    """Return the share of true ones, with its exact interval."""
    if not len(true):
        return CountedShare(n=0, value=None, low=None, high=None)
    from scipy.stats import binomtest

    interval = binomtest(int(true.sum()), len(true)).proportion_ci(confidence, method="exact")
    return CountedShare(
        n=len(true),
        value=round(float(true.mean()), DECIMALS),
        low=round(float(interval.low), DECIMALS),
        high=round(float(interval.high), DECIMALS),
    )


def _rank(count: int, coverage: float) -> int:
    return math.ceil((count + 1) * coverage - 1e-9)  # 0.7 · 10 is 7.000000000000001


def _tail(covered: int, pairs: int, calibration_pairs: int, coverage: float) -> float:
    """Probability that no more than ``covered`` of ``pairs`` are covered, if exchangeable."""
    from scipy.stats import betabinom

    rank = _rank(calibration_pairs, coverage)
    if not pairs or rank > calibration_pairs:  # nothing is promised, or the set holds every answer
        return 1.0
    return float(betabinom.cdf(covered, pairs, rank, calibration_pairs + 1 - rank))
