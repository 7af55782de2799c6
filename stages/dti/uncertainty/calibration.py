"""From a model's score to a probability, and from a probability to a yes or no.

Both are chosen on validation pairs alone, and stored as plain numbers in the model's folder.
scikit-learn is imported where something is fitted: whoever only predicts need not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from stages.dti.errors import DataError, ModelError, nearest

Method = Literal["platt", "isotonic", "none"]
ThresholdMetric = Literal["f1", "mcc", "youden"]

SCORE_CLIP = 1e-6
"""Scores are clipped to [1e-6, 1 - 1e-6] before their logit is taken."""

_DECIMALS = 10
"""Of slope and intercept: their last digits are the processor's, and would change every hash."""

UNINFORMED_THRESHOLD = 0.5
"""The threshold where validation holds one class, so that nothing can be chosen on it."""


@dataclass(frozen=True)
class Calibration:
    """A map from score to probability that never reverses the order of two scores.

    Attributes:
        method: ``platt``: ``expit(slope * logit(score) + intercept)`` with ``slope >= 0``;
            ``isotonic``: a non-decreasing line through ``knots`` and ``values``, flat outside;
            ``none``: the score itself.
        slope: ``platt`` alone.
        intercept: ``platt`` alone.
        knots: ``isotonic`` alone, increasing scores.
        values: ``isotonic`` alone, the probability at each knot.
        reason: why the scores are left as they are although a method was asked for.
    """

    method: Method
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    reason: str | None = None

    @classmethod
    def fit(cls, method: Method, scores: ArrayLike, labels: ArrayLike) -> Calibration:
        """Fit on validation scores in [0, 1] ``(pairs,)`` and their labels of 0 and 1.

        Where the labels hold one class there is nothing to fit: the scores are left as they are
        and ``reason`` says so. Platt scaling is Platt's own (2000): targets are smoothed to
        ``(positives + 1) / (positives + 2)`` and ``1 / (negatives + 2)``, which keeps the slope
        finite on separable scores. A slope below 0 would reverse the ranking; the best fit
        without reversal is then a constant, slope 0.

        Raises:
            DataError: no pairs, unequal lengths, or labels other than 0 and 1.
            ModelError: a score is not a number in [0, 1], or the method is unknown.
        """
        if method not in get_args(Method):
            raise ModelError(f"calibration {method!r}{nearest(method, get_args(Method))}")
        x = _checked_scores(scores)
        positive = _checked_labels(labels, len(x))
        if method == "none":
            return cls("none")
        if positive.all() or not positive.any():
            return cls("none", reason=f"{method} needs both classes, validation holds one")
        return _fit_platt(x, positive) if method == "platt" else _fit_isotonic(x, positive)

    def apply(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each score, float64, same shape.

        A score's probability is the same to the last bit whatever other scores stand beside it:
        only scalar functions and exactly rounded operations are used, never a vectorised
        ``exp`` whose result could depend on the position in the array.

        Raises:
            ModelError: a score is not a number in [0, 1].
        """
        x = _checked_scores(scores)
        if self.method == "none":
            return x
        if self.method == "platt":
            odds = self.slope * logit(np.clip(x, SCORE_CLIP, 1 - SCORE_CLIP)) + self.intercept
            return cast(NDArray[np.float64], expit(odds))
        return interpolate(x, np.asarray(self.knots), np.asarray(self.values))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON object: ``method`` and that method's own fields."""
        if self.method == "platt":
            return {"method": "platt", "slope": self.slope, "intercept": self.intercept}
        if self.method == "isotonic":
            knots, values = list(self.knots), list(self.values)
            return {"method": "isotonic", "knots": knots, "values": values}
        return {"method": "none"} | ({"reason": self.reason} if self.reason else {})

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Calibration:
        """Read what ``to_dict`` made.

        Raises:
            ModelError: an unknown method, a missing field, or a map that reverses the ranking.
        """
        try:
            method = value["method"]
            if method == "none":
                return cls("none", reason=value.get("reason"))
            if method == "platt":
                made = cls(
                    "platt", slope=float(value["slope"]), intercept=float(value["intercept"])
                )
                sound = 0 <= made.slope < np.inf and bool(np.isfinite(made.intercept))
            elif method == "isotonic":
                knots = tuple(float(knot) for knot in value["knots"])
                values = tuple(float(level) for level in value["values"])
                made = cls("isotonic", knots=knots, values=values)
                sound = (
                    len(knots) == len(values) > 0
                    and bool((np.diff(knots) > 0).all() and (np.diff(values) >= 0).all())
                    and 0 <= values[0] <= values[-1] <= 1
                )
            else:
                raise ModelError(f"calibration {method!r}{nearest(str(method), get_args(Method))}")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the calibration is incomplete ({error!r}); train again") from error
        if not sound:
            raise ModelError(f"the {method} calibration does not increase; train again")
        return made


def choose_threshold(probabilities: ArrayLike, labels: ArrayLike, metric: ThresholdMetric) -> float:
    """Return the threshold in [0, 1] that maximises ``metric`` on validation pairs.

    A pair interacts if its probability is at or above the threshold. Candidates lie half-way
    between neighbouring distinct probabilities, so that none hangs on the last bit of one pair,
    and half-way to 0 and to 1 outside them. Of equally good thresholds the one nearest 0.5 is
    taken, then the lower. Where the labels hold one class the threshold is 0.5.

    Args:
        probabilities: ``(pairs,)`` in [0, 1].
        labels: ``(pairs,)`` of 0 and 1.
        metric: ``f1``; ``mcc`` (0 where its denominator is); ``youden``: recall + specificity - 1.

    Raises:
        DataError: no pairs, unequal lengths, or labels other than 0 and 1.
        ModelError: a probability is not a number in [0, 1], or the metric is unknown.
    """
    if metric not in get_args(ThresholdMetric):
        known = get_args(ThresholdMetric)
        raise ModelError(f"threshold metric {metric!r}{nearest(metric, known)}")
    p = _checked_scores(probabilities)
    positive = _checked_labels(labels, len(p))
    if positive.all() or not positive.any():
        return UNINFORMED_THRESHOLD

    levels, level_of = np.unique(p, return_inverse=True)
    level_positives = np.bincount(level_of, weights=positive)
    level_pairs = np.bincount(level_of)
    # Threshold i accepts levels i and above; the last one accepts nothing.
    below = np.concatenate([[0.0], levels])
    above = np.concatenate([levels, [1.0]])
    thresholds = (below + above) / 2
    thresholds = np.where(thresholds > below, thresholds, above)
    accepted = np.concatenate([np.cumsum(level_pairs[::-1])[::-1], [0]])
    hits = np.concatenate([np.cumsum(level_positives[::-1])[::-1], [0]])
    if levels[-1] == 1.0:  # no threshold in [0, 1] can refuse a probability of 1
        thresholds, accepted, hits = thresholds[:-1], accepted[:-1], hits[:-1]

    value = _threshold_values(metric, hits, accepted, positive.sum(), len(p))
    best = thresholds[np.isclose(value, value.max(), rtol=1e-12, atol=1e-12)]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _threshold_values(
    metric: ThresholdMetric,
    hits: NDArray[np.float64],
    accepted: NDArray[np.int64],
    positives: float,
    pairs: int,
) -> NDArray[np.float64]:
    false_alarms = accepted - hits
    negatives = pairs - positives
    if metric == "f1":
        return 2 * hits / (accepted + positives)
    if metric == "youden":
        return hits / positives - false_alarms / negatives
    refused = pairs - accepted
    covariance = hits * (negatives - false_alarms) - false_alarms * (positives - hits)
    spread = np.sqrt(accepted.astype(np.float64) * refused * positives * negatives)
    return np.divide(covariance, spread, out=np.zeros(len(hits)), where=spread > 0)


def _fit_platt(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Calibration:
    from sklearn.linear_model import LogisticRegression

    positives = int(positive.sum())
    negatives = len(positive) - positives
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    x = logit(np.clip(scores, SCORE_CLIP, 1 - SCORE_CLIP))
    slope = 0.0
    if np.ptp(x) > 0:
        # A fractional target is a pair that counts as positive in part, as negative with the rest.
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
        model.fit(
            np.concatenate([x, x])[:, None],
            np.repeat([1, 0], len(x)),
            sample_weight=np.concatenate([target, 1 - target]),
        )
        slope = round(float(model.coef_[0, 0]), _DECIMALS)
        intercept = round(float(model.intercept_[0]), _DECIMALS)
    if slope <= 0:
        slope, intercept = 0.0, round(float(logit(target.mean())), _DECIMALS)
    return Calibration("platt", slope=slope, intercept=intercept)


def _fit_isotonic(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0.0, y_max=1.0).fit(scores, positive.astype(np.float64))
    return Calibration(
        "isotonic",
        knots=tuple(float(knot) for knot in model.X_thresholds_),
        values=tuple(float(value) for value in model.y_thresholds_),
    )


def interpolate(
    x: NDArray[np.float64], knots: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear interpolation whose rounding can never leave the two knots around ``x``.

    ``knots`` increase, ``values`` do not decrease; outside the knots the line is flat.
    """
    if len(knots) == 1:
        return np.full(x.shape, values[0])
    right = np.clip(np.searchsorted(knots, x, side="right"), 1, len(knots) - 1)
    left = right - 1
    share = (np.clip(x, knots[0], knots[-1]) - knots[left]) / (knots[right] - knots[left])
    line = values[left] + share * (values[right] - values[left])
    return np.clip(line, values[left], values[right])


def _checked_scores(scores: ArrayLike) -> NDArray[np.float64]:
    x = np.array(scores, dtype=np.float64)
    wrong = int((~((x >= 0) & (x <= 1))).sum())
    if wrong:
        raise ModelError(
            f"{wrong} of {x.size} scores are not numbers in 0 to 1; train the model again"
        )
    return x


def _checked_labels(labels: ArrayLike, pairs: int) -> NDArray[np.bool_]:
    given = np.asarray(labels)
    if pairs == 0 or given.shape != (pairs,):
        raise DataError(
            f"need as many labels as scores and at least one, got {given.shape} labels "
            f"for {pairs} scores; check that the split has validation pairs"
        )
    if not np.isin(given, (0, 1)).all():
        raise DataError("labels must be 0 or 1; check `label` in data/interim/interactions.parquet")
    return given.astype(bool)
