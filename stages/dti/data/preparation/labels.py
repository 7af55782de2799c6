"""From measured affinities to labels, with their relations: ``>10000`` is a bound, no value."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.config.dataset import LabelRule

_FLIPPED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def label_affinities(
    affinity: NDArray[np.float64], relation: NDArray[np.object_], rule: LabelRule
) -> NDArray[np.float64]:
    """Label measurements by a threshold rule.

    A bound is labelled only if every value that it allows has the same label: with positive below
    100 nM, ``<50`` is 1, and ``>50`` is undecided.

    Args:
        affinity: float64 ``(n,)``, in ``rule.unit``, no NaN.
        relation: str ``(n,)``, one of ``= < <= > >=``.

    Returns:
        float64 ``(n,)``: 1, 0, or NaN where the rule does not decide.
    """
    assert rule.positive_threshold is not None
    assert rule.negative_threshold is not None
    positive, negative = rule.positive_threshold, rule.negative_threshold
    value, sign = affinity, pd.Series(relation, dtype=object)
    if rule.stronger == "lower":  # turned round, so that below a larger value is stronger
        value, positive, negative = -value, -positive, -negative
        sign = sign.map(_FLIPPED)
    low = np.where(sign.isin(("<", "<=")), -np.inf, value)
    high = np.where(sign.isin((">", ">=")), np.inf, value)
    # At equal thresholds the value itself is one class or the other, never undecided.
    negative_at_threshold = rule.inclusive != (positive == negative)
    is_positive = (low > positive) | (
        (low == positive) & (rule.inclusive | (sign == ">").to_numpy())
    )
    is_negative = (high < negative) | (
        (high == negative) & (negative_at_threshold | (sign == "<").to_numpy())
    )
    return np.select([is_positive, is_negative], [1.0, 0.0], np.nan)


def merge_measurements(
    groups: NDArray[np.int64],
    affinity: NDArray[np.float64],
    relation: NDArray[np.object_],
    rule: LabelRule,
    statistic: str,
) -> pd.DataFrame:
    """Reduce the measurements of each group to one.

    Exact values count before bounds: the statistic is taken over them alone if there are any.
    A group of bounds that all point the same way is reduced to a bound; of bounds in both
    directions nothing can be said.

    Args:
        groups: int64 ``(n,)``, which measurements belong together.
        affinity, relation: as in ``label_affinities``.
        statistic: ``median`` or ``strongest``.

    Returns:
        Index: the groups, ascending. Columns affinity (float64), relation (str), contradictory
        (bool; affinity and relation then mean nothing).
    """
    table = pd.DataFrame({"group": groups, "affinity": affinity, "relation": relation})
    table["exact"] = table["relation"] == "="
    table["upper"] = table["relation"].isin(("<", "<="))
    table["open"] = table["relation"].isin(("<", ">"))
    has_exact = table.groupby("group")["exact"].transform("any")
    used = table[table["exact"] | ~has_exact].groupby("group")
    if statistic == "median":
        reduced = used["affinity"].median()
    else:
        reduced = used["affinity"].min() if rule.stronger == "lower" else used["affinity"].max()
    # A bound of several is open only if all of them are.
    facts = used.agg(
        exact=("exact", "any"), some=("upper", "any"), all=("upper", "all"), open=("open", "all")
    )
    direction = np.where(facts["some"], "<", ">").astype(object)
    bound = direction + np.where(facts["open"], "", "=").astype(object)
    return pd.DataFrame(
        {
            "affinity": reduced,
            "relation": np.where(facts["exact"], "=", bound),
            "contradictory": facts["some"] != facts["all"],
        }
    )
