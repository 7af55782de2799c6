"""The quality score of a raw data set, and the forms in which check results are written.

The score is 0 to 100 and follows from the results alone:

    score = 100 × Σ weight × points / Σ weight     over all checks

- weight: 3 for a critical check, 2 for a warning, 1 for an info.
- points: 0 for a check that failed; otherwise the share of rows that meet it (for a count or a
  mean: 1). One bad row among a thousand therefore shows, and a failed check costs its whole weight.

It covers three things: what is there (completeness, counts, balance), whether it is valid
(SMILES, sequences, measurements, relations), and the processing coverage, the share of raw rows
that are usable in every respect (check ``rows_usable``). It says nothing about whether the
measurements are true, nor about rows that lie between the label thresholds: that is `prepare`'s
to decide. It is rounded down to two decimals, so that 100 means no row failed any check.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from stages.dti.artifacts.validation import (
    CheckedExpectation,
    SourceSummary,
    Validation,
    ValidationMetrics,
)
from stages.dti.config.validate import ValidateConfig
from stages.dti.data.validation.check_tables import OK, CheckTables
from stages.dti.data.validation.checks import SUITES
from stages.dti.data.validation.expectations import CheckResult

WEIGHTS = {"critical": 3, "warning": 2, "info": 1}


@dataclass(frozen=True)
class Quality:
    """The verdict on a raw data set.

    ``score`` is 0 to 100; ``coverage`` the share of rows that are usable; ``problems`` says in
    words what failed, and is empty exactly when the data set passed.
    """

    score: float
    coverage: float
    results: list[CheckResult]
    sources: list[SourceSummary]
    drugs: int
    targets: int
    positive_fraction: float | None
    problems: list[str]

    @property
    def rows(self) -> int:
        """Return the number of raw rows."""
        return sum(source.rows for source in self.sources)

    @property
    def passed(self) -> int:
        """Return the number of checks that passed."""
        return sum(result.passed for result in self.results)


def judge(tables: CheckTables, results: Sequence[CheckResult], config: ValidateConfig) -> Quality:
    """Return the score and the verdict."""
    score = quality_score(results)
    problems = [describe_failure(result) for result in results if not result.passed]
    if score < config.min_quality_score:
        problems.append(
            f"the quality score is {score:g}, below validate.min_quality_score "
            f"{config.min_quality_score:g}"
        )
    interactions = tables.interactions
    labels = interactions["label"].dropna()
    return Quality(
        score=score,
        coverage=float((interactions["usable"] == OK).mean()) if len(interactions) else 0.0,
        results=list(results),
        sources=_sources(tables),
        drugs=int(tables.drugs["smiles"].nunique()),
        targets=int(tables.targets["sequence"].nunique()),
        positive_fraction=float(labels.mean()) if len(labels) else None,
        problems=problems,
    )


def quality_score(results: Sequence[CheckResult]) -> float:
    """Return the score, 0 to 100; the formula stands at the top of this module."""
    total = sum(WEIGHTS[result.check.severity] for result in results)
    earned = sum(WEIGHTS[result.check.severity] * points(result) for result in results)
    return math.floor(1e4 * earned / total) / 100


def points(result: CheckResult) -> float:
    """Return what a check earns, 0 to 1."""
    if not result.passed:
        return 0.0
    if result.check.kind == "share":
        assert result.observed is not None  # a check that measured nothing has failed
        return result.observed
    return 1.0


def describe_failure(result: CheckResult) -> str:
    """Return one sentence on a failed check: what it asks, what was found, what is allowed."""
    check = result.check
    if result.observed is None:
        found = "there is nothing to check"
    elif check.kind == "share":
        found = (
            f"{result.rows_failing:,} of {result.rows_checked:,} rows fail, "
            f"{1 - result.observed:.2%}; allowed are {1 - (check.low or 0):.2%}"
        )
    else:
        limits = [f"at least {check.low:g}"] if check.low is not None else []
        limits += [f"at most {check.high:g}"] if check.high is not None else []
        found = f"found {result.observed:g}, expected {' and '.join(limits)}"
    return f"{check.suite}.{check.name} ({check.title}): {found}"


def metrics(quality: Quality) -> ValidationMetrics:
    """Return the numbers."""
    observed: dict[str, dict[str, float | None]] = {suite: {} for suite in SUITES}
    for result in quality.results:
        observed[result.check.suite][result.check.name] = result.observed
    return ValidationMetrics(
        quality_score=quality.score,
        coverage_fraction=quality.coverage,
        checks_total=len(quality.results),
        checks_passed=quality.passed,
        checks_failed=len(quality.results) - quality.passed,
        rows=quality.rows,
        rows_usable=sum(source.rows_usable for source in quality.sources),
        drugs=quality.drugs,
        targets=quality.targets,
        positive_fraction=quality.positive_fraction,
        observed=observed,
    )


def document(quality: Quality, dataset: str) -> Validation:
    """Return every result."""
    return Validation(
        dataset=dataset,
        verdict="failed" if quality.problems else "passed",
        problems=quality.problems,
        quality_score=quality.score,
        coverage_fraction=quality.coverage,
        weights=WEIGHTS,
        sources=quality.sources,
        checks=[_checked(result) for result in quality.results],
    )


def _checked(result: CheckResult) -> CheckedExpectation:
    check = result.check
    return CheckedExpectation(
        name=check.name,
        suite=check.suite,
        title=check.title,
        severity=check.severity,
        kind=check.kind,
        expectation=check.expectation,
        column=check.column,
        passed=result.passed,
        observed=result.observed,
        low=check.low,
        high=check.high,
        rows_checked=result.rows_checked,
        rows_failing=result.rows_failing,
        points=points(result),
        examples=list(result.examples),
    )


def _sources(tables: CheckTables) -> list[SourceSummary]:
    """Drugs and targets are counted in the source in which they first appear."""
    summaries = []
    for source, rows in tables.interactions.groupby("source", sort=False):
        labels = rows["label"].dropna()
        summaries.append(
            SourceSummary(
                source=str(source),
                rows=len(rows),
                rows_usable=int((rows["usable"] == OK).sum()),
                drugs=_different_in(tables.drugs, str(source), "smiles"),
                targets=_different_in(tables.targets, str(source), "sequence"),
                labelled=len(labels),
                positives=int(labels.sum()),
            )
        )
    return summaries


def _different_in(table: pd.DataFrame, source: str, column: str) -> int:
    return int(table.loc[table["source"] == source, column].nunique())
