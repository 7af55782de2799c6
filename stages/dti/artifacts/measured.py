"""Measured values, as the reports of several stages hold them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.dti.artifacts.base import Artifact, Count, Share

Value = Annotated[float, Field(ge=-1, le=1)]
"""Every metric lies between 0 and 1, but Matthews' correlation and differences."""

Metric = Literal[
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "mcc",
    "auroc",
    "auprc",
    "brier",
    "ece",
]


class Measure(Artifact):
    """A metric with its bootstrap interval; ``None`` where undefined, with the reason beside it."""

    value: Value | None
    low: Value | None
    high: Value | None
    reason: str | None = None


class Difference(Measure):
    """A difference of two models on the same resamples.

    ``verdict`` says better or worse only if the interval excludes 0; ``None`` without an interval.
    """

    verdict: Literal["better", "worse", "equal within the interval"] | None


class CountedShare(Artifact):
    """The share of ``n`` things, with its exact binomial interval; ``None`` where ``n`` is 0."""

    n: Count
    value: Share | None
    low: Share | None
    high: Share | None
