"""Data of the ROC, precision-recall, reliability and confusion plots, as tidy rows.

scikit-learn counts. Its own curves keep every point of a straight line but equally spaced ones, and
its calibration curve puts a probability on a bin's edge into the lower bin and tells no counts.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix_at_thresholds

from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.evaluation.metrics import DECIMALS, ModelOutput, calibration_bin

MAX_POINTS = 200
"""Points kept per model and curve."""

POSITIVE, NEGATIVE = "interacts", "no interaction"


def roc_curve(labels: NDArray[np.bool_], outputs: Mapping[str, ModelOutput]) -> pd.DataFrame:
    """Return columns ``model``, ``false_positive_rate``, ``true_positive_rate``.

    From (0, 0) to (1, 1), one point per distinct score, points within a straight line left out,
    at most 200 per model. No rows where the labels hold one class.
    """
    columns = ["model", "false_positive_rate", "true_positive_rate"]
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return pd.DataFrame(columns=columns)
    parts = []
    for name, output in outputs.items():
        false_alarms, hits = _cumulative(labels, output.scores)
        x = np.concatenate([[0], false_alarms])
        y = np.concatenate([[0], hits])
        kept = _corners(x, y)
        kept = kept[_thinned(len(kept))]
        parts.append(_part(columns, name, x[kept] / negatives, y[kept] / positives))
    return pd.concat(parts, ignore_index=True)


def precision_recall_curve(
    labels: NDArray[np.bool_], outputs: Mapping[str, ModelOutput]
) -> pd.DataFrame:
    """Return columns ``model``, ``recall``, ``precision``; recall increases.

    One point per distinct score that raises recall, at most 200 per model, and one at recall 0
    with the precision of the highest score. No rows where the labels hold one class.
    """
    columns = ["model", "recall", "precision"]
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        return pd.DataFrame(columns=columns)
    parts = []
    for name, output in outputs.items():
        false_alarms, hits = _cumulative(labels, output.scores)
        accepted = false_alarms + hits
        raised = np.flatnonzero(np.diff(hits, prepend=0))
        kept = raised[_thinned(len(raised), MAX_POINTS - 1)]
        recall = np.concatenate([[0.0], hits[kept] / positives])
        precision = hits[kept] / accepted[kept]
        first = hits[0] / accepted[0]
        parts.append(_part(columns, name, recall, np.concatenate([[first], precision])))
    return pd.concat(parts, ignore_index=True)


def reliability_curve(
    labels: NDArray[np.bool_], outputs: Mapping[str, ModelOutput], config: EvaluateConfig
) -> pd.DataFrame:
    """Return one row per model and non-empty bin of the calibrated probability.

    Columns ``model``, ``bin_low``, ``bin_high``, ``mean_probability``, ``observed_fraction``
    (share of pairs that interact), ``n``.
    """
    bins = config.calibration_bins
    parts = []
    for name, output in outputs.items():
        bin_of = calibration_bin(output.probabilities, bins)
        count = np.bincount(bin_of, minlength=bins)
        filled = np.flatnonzero(count)
        probability = np.bincount(bin_of, output.probabilities, minlength=bins)
        observed = np.bincount(bin_of, labels, minlength=bins)
        part = pd.DataFrame(
            {
                "model": name,
                "bin_low": filled / bins,
                "bin_high": (filled + 1) / bins,
                "mean_probability": probability[filled] / count[filled],
                "observed_fraction": observed[filled] / count[filled],
                "n": count[filled],
            }
        )
        parts.append(part.round(DECIMALS))
    return pd.concat(parts, ignore_index=True)


def confusion(labels: NDArray[np.bool_], output: ModelOutput) -> pd.DataFrame:
    """Return columns ``actual`` and ``predicted``, one row per pair.

    DVC's ``confusion`` template counts the rows itself.
    """
    predicted = output.probabilities >= output.threshold
    return pd.DataFrame(
        {
            "actual": np.where(labels, POSITIVE, NEGATIVE),
            "predicted": np.where(predicted, POSITIVE, NEGATIVE),
        }
    )


def _cumulative(
    labels: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Negatives and positives at or above each distinct score, from the highest score down."""
    _, false_positives, _, true_positives, _ = confusion_matrix_at_thresholds(labels, scores)
    return false_positives.astype(np.int64), true_positives.astype(np.int64)


def _corners(x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the points where a line of whole-number coordinates turns, and both ends."""
    dx, dy = np.diff(x), np.diff(y)
    turns = dx[1:] * dy[:-1] != dx[:-1] * dy[1:]
    return np.flatnonzero(np.concatenate([[True], turns, [True]]))


def _thinned(points: int, limit: int = MAX_POINTS) -> NDArray[np.int64]:
    """Positions of at most ``limit`` of ``points`` points, evenly spaced, with first and last."""
    return np.unique(np.linspace(0, points - 1, min(points, limit)).round().astype(np.int64))


def _part(
    columns: list[str], name: str, x: NDArray[np.float64], y: NDArray[np.float64]
) -> pd.DataFrame:
    return pd.DataFrame({columns[0]: name, columns[1]: x, columns[2]: y}).round(DECIMALS)
