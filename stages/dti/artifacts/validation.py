"""``reports/validation_metrics.json`` and ``reports/validation/validation.json``: the raw data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.dti.artifacts.base import Artifact, Count, Number, Share

Score = Annotated[float, Field(ge=0, le=100)]


class ValidationMetrics(Artifact):
    """The numbers.

    Attributes:
        coverage_fraction: share of the rows that are usable.
        observed: suite → check → a share in 0..1, a count or a mean; ``None`` where nothing could
            be measured.
    """

    quality_score: Score
    coverage_fraction: Share
    checks_total: Count
    checks_passed: Count
    checks_failed: Count
    rows: Count
    rows_usable: Count
    drugs: Count
    targets: Count
    positive_fraction: Share | None
    observed: dict[str, dict[str, Number | None]]


class SourceSummary(Artifact):
    """What one source holds."""

    source: str
    rows: Count
    rows_usable: Count
    drugs: Count
    targets: Count
    labelled: Count
    positives: Count


class CheckedExpectation(Artifact):
    """A check and its result.

    Attributes:
        kind: what is measured, and what ``low`` and ``high`` limit: a share of rows, a count, or
            the mean of a column.
        points: what it earns towards the score, 0 to 1.
        examples: failing rows: who it is, and ``found``, what stands in the checked column.
    """

    name: str
    suite: str
    title: str
    severity: Literal["critical", "warning", "info"]
    kind: Literal["share", "count", "mean"]
    expectation: str
    column: str | None
    passed: bool
    observed: Number | None
    low: Number | None
    high: Number | None
    rows_checked: Count | None
    rows_failing: Count | None
    points: Share
    examples: list[dict[str, str | int | float | None]]


class Validation(Artifact):
    """Every result.

    Attributes:
        problems: what failed, in words; empty exactly when the data set passed.
        weights: severity → weight in the score.
    """

    dataset: str
    verdict: Literal["passed", "failed"]
    problems: list[str]
    quality_score: Score
    coverage_fraction: Share
    weights: dict[str, int]
    sources: list[SourceSummary]
    checks: list[CheckedExpectation]

    @property
    def suites(self) -> list[tuple[str, list[CheckedExpectation]]]:
        """Each suite with its checks, in their order."""
        names = dict.fromkeys(check.suite for check in self.checks)
        return [(name, [check for check in self.checks if check.suite == name]) for name in names]
