"""Metrics of one or several models on the same labelled pairs, each with a bootstrap interval.

AUROC and AUPRC (average precision) rank by ``score``; Brier and expected calibration error judge
the calibrated ``probability``; the others judge the yes or no at the stored threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stages.dti.artifacts.measured import Difference, Measure, Metric
from stages.dti.artifacts.metrics import Coverage, ModelMetrics
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.errors import DataError
from stages.dti.evaluation.bootstrap import Interval, percentile_interval, resamples, too_few

Floats = NDArray[np.float64]

RANKING: tuple[Literal["auroc", "auprc"], ...] = ("auroc", "auprc")
METRICS: tuple[Metric, ...] = (
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "mcc",
    *RANKING,
    "brier",
    "ece",
)

TITLES: dict[Metric, str] = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "f1": "F1",
    "mcc": "MCC",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "brier": "Brier score",
    "ece": "Calibration error",
}
"""Every metric as it is called in a table, in the order of the tables."""

LOWER_IS_BETTER: tuple[Metric, ...] = ("brier", "ece")

DECIMALS = 6
"""Reports are rounded, so that a diff of two of them can be read."""

UNDEFINED = {
    "precision": "no pair is predicted to interact",
    "recall": "no pair interacts",
    "specificity": "every pair interacts",
    "f1": "no pair interacts or is predicted to",
    "mcc": "the pairs hold one class",
    "auroc": "the pairs hold one class",
    "auprc": "the pairs hold one class",
}
"""Why a metric has no value; the others always have one."""

Verdict = Literal["better", "worse", "equal within the interval"]
BETTER: Verdict = "better"
WORSE: Verdict = "worse"
EQUAL: Verdict = "equal within the interval"


@dataclass(frozen=True)
class ModelOutput:
    """What one model says of the pairs.

    Attributes:
        scores: float64 ``(pairs,)``, higher = more likely to interact.
        probabilities: float64 ``(pairs,)`` in [0, 1], calibrated.
        threshold: a pair is predicted to interact if its probability is at or above it.
        spread: float64 ``(pairs,)``, of an ensemble's members; else ``None``.
    """

    scores: Floats
    probabilities: Floats
    threshold: float
    spread: Floats | None = None

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> ModelOutput:
        """Return the output for the chosen pairs alone."""
        spread = None if self.spread is None else self.spread[chosen]
        return ModelOutput(self.scores[chosen], self.probabilities[chosen], self.threshold, spread)


class WeightedMetrics:
    """Every metric of one model, for many weightings of the pairs at once."""

    def __init__(self, labels: NDArray[np.bool_], output: ModelOutput, bins: int) -> None:
        self._order = np.argsort(-output.scores, kind="stable")
        ranked = output.scores[self._order]
        self._level_starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
        self._ranked_labels = labels[self._order].astype(np.float64)

        predicted = output.probabilities >= output.threshold
        error = output.probabilities - labels
        in_bin = calibration_bin(output.probabilities, bins)[:, None] == np.arange(bins)
        self._sums = np.column_stack(
            [labels, predicted, labels & predicted, error**2, in_bin * error[:, None]]
        ).astype(np.float64)

    def values(self, weights: Floats, metrics: Sequence[str] = METRICS) -> dict[str, Floats]:
        """Return each metric for every row of ``weights``, NaN where it is undefined.

        Args:
            weights: ``(weightings, pairs)``, how often each pair counts.
            metrics: which ones; all of ``METRICS`` unless told.
        """
        total = weights.sum(axis=1)
        values: dict[str, Floats] = {}
        if any(metric in RANKING for metric in metrics):
            values |= self._ranking(weights)
        if any(metric not in RANKING for metric in metrics):
            values |= self._pointwise(weights, total)
        return {metric: values[metric] for metric in metrics}

    def _ranking(self, weights: Floats) -> dict[str, Floats]:
        drawn = weights[:, self._order]
        hits = drawn * self._ranked_labels
        if len(self._level_starts) < drawn.shape[1]:  # equal scores form one level
            drawn = np.add.reduceat(drawn, self._level_starts, axis=1)
            hits = np.add.reduceat(hits, self._level_starts, axis=1)
        accepted = np.cumsum(drawn, axis=1)
        true_positives = np.cumsum(hits, axis=1)
        positives = true_positives[:, -1]
        negatives = accepted[:, -1] - positives
        # A positive wins against each negative of a lower level, and half against its own level's.
        rivals = negatives[:, None] - (accepted - true_positives) + (drawn - hits) / 2
        won = np.einsum("ij,ij->i", hits, rivals)
        precision = np.divide(
            true_positives, accepted, out=np.zeros_like(accepted), where=accepted > 0
        )
        both = (positives > 0) & (negatives > 0)
        return {
            "auroc": _ratio(won, positives * negatives),
            "auprc": np.where(
                both, _ratio(np.einsum("ij,ij->i", hits, precision), positives), np.nan
            ),
        }

    def _pointwise(self, weights: Floats, total: Floats) -> dict[str, Floats]:
        sums = weights @ self._sums
        positives, accepted, hits, squares = sums[:, :4].T
        negatives, refused = total - positives, total - accepted
        false_alarms = accepted - hits
        true_negatives = negatives - false_alarms
        spread = np.sqrt(positives) * np.sqrt(negatives) * np.sqrt(accepted) * np.sqrt(refused)
        covariance = hits * true_negatives - false_alarms * (positives - hits)
        # A constant prediction is no better than chance: MCC 0, as long as both classes are there.
        mcc = np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)
        return {
            "accuracy": (hits + true_negatives) / total,
            "precision": _ratio(hits, accepted),
            "recall": _ratio(hits, positives),
            "specificity": _ratio(true_negatives, negatives),
            "f1": _ratio(2 * hits, positives + accepted),
            "mcc": np.where((positives > 0) & (negatives > 0), mcc, np.nan),
            "brier": squares / total,
            "ece": np.abs(sums[:, 4:]).sum(axis=1) / total,
        }


class Comparison:
    """Several models on the same pairs and the same resamples, so that differences are paired."""

    def __init__(
        self,
        labels: ArrayLike,
        outputs: Mapping[str, ModelOutput],
        config: EvaluateConfig,
        metrics: Sequence[str] = METRICS,
    ) -> None:
        """Compute every metric's value and, where the pairs are enough, its resampled values.

        Args:
            labels: 0 and 1, ``(pairs,)``.
            outputs: model name → its output for the same pairs.
            config: number of resamples, seed, confidence, calibration bins.
            metrics: which metrics; all unless told.

        Raises:
            DataError: there are no pairs.
        """
        self._labels = np.asarray(labels).astype(bool)
        if not len(self._labels):
            raise DataError("there are no pairs to evaluate; check the test fraction of the split")
        self._confidence = config.confidence
        self._too_few = too_few(self._labels)
        self._outputs = outputs
        self._metrics = metrics
        once = np.ones((1, len(self._labels)))
        weighted = {
            name: WeightedMetrics(self._labels, output, config.calibration_bins)
            for name, output in outputs.items()
        }
        self._values = {
            name: {metric: float(value[0]) for metric, value in of.values(once, metrics).items()}
            for name, of in weighted.items()
        }
        if self._too_few is None:
            self._draws = _draws(weighted, len(self._labels), config, metrics)

    def metrics(self, name: str) -> dict[str, Measure]:
        """Return each metric of a model, rounded to 6 decimals.

        The interval is the percentile bootstrap's (``bootstrap.resamples``), except that the
        resampled calibration errors are shifted by their bias first.
        """
        return {metric: self._entry(name, metric) for metric in self._metrics}

    def table(self, name: str, coverage: Coverage) -> ModelMetrics:
        """Return every metric of a model, with what its prediction sets cover."""
        return ModelMetrics.model_validate(
            {
                "n": len(self._labels),
                "prevalence": prevalence(self._labels),
                "threshold": _rounded(self._outputs[name].threshold),
                "conformal": coverage,
                **self.metrics(name),
            }
        )

    def difference(self, name: str, other: str, metric: str) -> Difference:
        """Return ``metric`` of model ``name`` minus that of ``other``, with its paired interval.

        ``verdict`` says ``better`` or ``worse`` only if the interval excludes 0, else
        ``equal within the interval``; ``None`` without an interval.
        """
        value = self._values[name][metric] - self._values[other][metric]
        if np.isnan(value):
            interval = Interval(reason=UNDEFINED[metric])
        elif self._too_few is not None:
            interval = Interval(reason=self._too_few)
        else:
            draws = self._draws[name][metric] - self._draws[other][metric]
            interval = percentile_interval(draws, self._confidence)
        return Difference.model_validate(
            _measured(value, interval) | {"verdict": _verdict(interval)}
        )

    def _entry(self, name: str, metric: str) -> Measure:
        value, interval = self._measured(name, metric)
        return Measure.model_validate(_measured(value, interval))

    def _measured(self, name: str, metric: str) -> tuple[float, Interval]:
        value = self._values[name][metric]
        if np.isnan(value):
            return value, Interval(reason=UNDEFINED[metric])
        if self._too_few is not None:
            return value, Interval(reason=self._too_few)
        draws = self._draws[name][metric]
        if metric == "ece":
            # A sum of absolute values grows with the noise that resampling adds, so that its
            # draws may all lie above it; they are moved back to where they belong.
            draws = np.maximum(draws - draws.mean() + value, 0.0)
        return value, percentile_interval(draws, self._confidence)


def prevalence(labels: NDArray[np.bool_]) -> float | None:
    """Return the share of pairs that interact, ``None`` without pairs."""
    return _rounded(labels.mean()) if len(labels) else None


def interval_text(
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    between: str = " to ",
    form: str = ".3f",
) -> str:
    """Return ``0.853 (0.821 to 0.884)``, a value without interval alone, ``undefined`` for none.

    Args:
        between: what stands between the bounds.
        form: of each number, a format specification.
    """
    if value is None:
        return "undefined"
    if low is None or high is None:
        return f"{value:{form}}"
    return f"{value:{form}} ({bounds_text(low, high, between=between, form=form)})"


def bounds_text(low: float, high: float, *, between: str = " to ", form: str = ".3f") -> str:
    """Return ``0.821 to 0.884``; arguments as ``interval_text`` takes them."""
    return f"{low:{form}}{between}{high:{form}}"


def calibration_bin(probabilities: Floats, bins: int) -> NDArray[np.int64]:
    """Return the bin of each probability: ``bins`` of equal width, the last one closed at 1."""
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)


def _draws(
    weighted: Mapping[str, WeightedMetrics],
    pairs: int,
    config: EvaluateConfig,
    metrics: Sequence[str],
) -> dict[str, dict[str, Floats]]:
    chunks: dict[str, list[dict[str, Floats]]] = {name: [] for name in weighted}
    for weights in resamples(pairs, config.bootstrap_samples, config.seed):
        for name, of in weighted.items():
            chunks[name].append(of.values(weights, metrics))
    return {
        name: {metric: np.concatenate([chunk[metric] for chunk in parts]) for metric in metrics}
        for name, parts in chunks.items()
    }


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    undefined = np.full_like(denominator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), DECIMALS)


def _measured(value: float, interval: Interval) -> dict[str, float | str | None]:
    """Return the fields of a ``Measure``; a reason only where there is one."""
    low, high = interval.low, interval.high
    bounds = {
        "low": None if low is None else _rounded(low),
        "high": None if high is None else _rounded(high),
    }
    reason = {"reason": interval.reason} if interval.reason else {}
    return {"value": _rounded(value), **bounds, **reason}


def _verdict(interval: Interval) -> Verdict | None:
    if interval.low is None or interval.high is None:
        return None
    if interval.low > 0:
        return BETTER
    return WORSE if interval.high < 0 else EQUAL
