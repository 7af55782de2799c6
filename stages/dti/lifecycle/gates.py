"""The gate: may a candidate be promoted? Pure functions of measured numbers.

A candidate that passes is not yet promoted: that is an act of its own (``transitions.py``).
"""

from __future__ import annotations

from typing import Literal, TypedDict

from stages.dti.artifacts.decision import (
    Check,
    DecidedCandidate,
    Decision,
    PreviousComparison,
    StrongestBaseline,
)
from stages.dti.artifacts.measured import CountedShare, Measure, Metric
from stages.dti.artifacts.metrics import Metrics
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.errors import ConfigError, nearest
from stages.dti.evaluation.metrics import RANKING, TITLES, interval_text

LABELS: dict[Metric, str] = {metric: TITLES[metric] for metric in RANKING}


def decide(
    metrics: Metrics,
    model_sha256: str,
    previous: PreviousComparison | None,
    promote: PromoteConfig,
    environment: EnvironmentConfig,
) -> Decision:
    """Judge the candidate by ``reports/metrics.json`` and the model promoted before.

    Args:
        metrics: what ``evaluate`` measured.
        model_sha256: of the candidate's folder.
        previous: ``None`` when no model was promoted before.

    Raises:
        ConfigError: ``promote.must_beat`` names a baseline that was not evaluated.
    """
    candidate = metrics.candidate
    value = candidate.of(promote.metric).value
    checks = [
        _floor(value, promote),
        *(_beats(name, metrics, promote) for name in promote.must_beat),
        _not_worse(previous, promote),
    ]
    gate_passed = all(check.passed is not False for check in checks)
    passed = gate_passed and environment.promotion == "automatic"
    strongest = _strongest_baseline(metrics, promote.metric)
    return Decision(
        verdict="passed" if passed else "refused",
        gate_passed=gate_passed,
        summary=_summary(candidate.model, checks, environment, strongest),
        metric=promote.metric,
        environment=environment,
        candidate=DecidedCandidate(
            model=candidate.model,
            model_sha256=model_sha256,
            n=candidate.n,
            prevalence=candidate.prevalence,
            **_bounds(candidate.of(promote.metric)),
        ),
        checks=checks,
        strongest_baseline=strongest,
        previous=previous,
    )


def number(value: float | None) -> str:
    """Return a metric as text with three decimals, ``undefined`` where it has no value."""
    return "undefined" if value is None else f"{value:.3f}"


def with_interval(measure: Measure | CountedShare) -> str:
    """Return ``0.853 (0.821 to 0.884)``, or the value alone where there is no interval."""
    return interval_text(measure.value, measure.low, measure.high)


def _check(
    name: str, observed: float | None, threshold: float, passed: bool | None, reason: str
) -> Check:
    return Check(name=name, observed=observed, threshold=threshold, passed=passed, reason=reason)


def _floor(value: float | None, promote: PromoteConfig) -> Check:
    label = LABELS[promote.metric]
    if value is None:
        return _check("floor", None, promote.floor, False, f"{label} is undefined on the test set")
    passed = value >= promote.floor
    side = "at or above" if passed else "below"
    reason = f"{label} {number(value)} is {side} the floor {number(promote.floor)}"
    return _check("floor", value, promote.floor, passed, reason)


def _beats(name: str, metrics: Metrics, promote: PromoteConfig) -> Check:
    if name not in metrics.baselines:
        raise ConfigError(
            f"promote.must_beat: no baseline {name!r} was evaluated"
            f"{nearest(name, metrics.baselines)}"
        )
    title, label, margin = f"beats {name}", LABELS[promote.metric], promote.must_beat_margin
    if name in metrics.same_as_candidate:
        return _check(title, None, margin, None, f"{name} is the candidate itself")
    difference = metrics.differences[name].of(promote.metric).value
    baseline = metrics.baselines[name].of(promote.metric).value
    if difference is None or baseline is None:
        return _check(title, None, margin, False, f"{label} is undefined on the test set")
    passed = difference > margin
    reason = (
        f"{label} {number(baseline + difference)} against {number(baseline)}: {difference:+.3f}, "
        f"which is {'' if passed else 'not '}more than {margin:.3f}{_pairs(name, metrics)}"
    )
    return _check(title, difference, margin, passed, reason)


def _pairs(name: str, metrics: Metrics) -> str:
    """Return on which pairs two models were compared, where they were not all test pairs."""
    pairs, of = metrics.baselines[name].n, metrics.test.n
    return (
        "" if pairs == of else f", on the {pairs} of {of} test pairs that {name} can be tested on"
    )


def _not_worse(previous: PreviousComparison | None, promote: PromoteConfig) -> Check:
    title, label = "not worse than the promoted model", LABELS[promote.metric]
    limit = -promote.max_loss_to_previous
    if previous is None:
        return _check(title, None, limit, None, "no model was promoted before")
    if previous.previous is None or previous.candidate is None:
        return _check(title, None, limit, None, f"not compared: {previous.reason}")
    before, now = previous.previous[promote.metric], previous.candidate[promote.metric]
    if before is None or now is None:
        reason = f"not compared: {label} is undefined on the {previous.pairs} common test pairs"
        return _check(title, None, limit, None, reason)
    difference = round(now - before, 6)  # as the reports are; in binary it is not exact
    passed = difference >= limit
    reason = (
        f"{label} {number(now)} against {number(before)} of {previous.model} on "
        f"{previous.pairs} test pairs: {difference:+.3f}, which is {'' if passed else 'not '}"
        f"within the allowed loss of {promote.max_loss_to_previous:.3f}; {previous.reason}"
    )
    return _check(title, difference, limit, passed, reason)


def _strongest_baseline(
    metrics: Metrics, metric: Literal["auroc", "auprc"]
) -> StrongestBaseline | None:
    known = {
        name: found.value
        for name, of in metrics.differences.items()
        if (found := of.of(metric)).value is not None
    }
    if not known:
        return None
    name = min(sorted(known), key=lambda name: known[name])
    difference = metrics.differences[name].of(metric)
    return StrongestBaseline(
        name=name,
        **_bounds(metrics.baselines[name].of(metric)),
        difference=Measure(**_bounds(difference)),
        words=_in_words(name, known[name], difference, LABELS[metric]) + _pairs(name, metrics),
    )


def _in_words(name: str, value: float, difference: Measure, label: str) -> str:
    low, high = difference.low, difference.high
    if low is None or high is None:
        return f"{label} {value:+.3f} to {name}; too few test pairs for an interval"
    interval = f"({low:+.3f} to {high:+.3f})"
    if low > 0:
        return f"better than {name}: {label} {value:+.3f} {interval}"
    if high < 0:
        return f"worse than {name}: {label} {value:+.3f} {interval}"
    return f"about equal to {name}: {label} {value:+.3f}, and the interval {interval} includes 0"


def _summary(
    model: str,
    checks: list[Check],
    environment: EnvironmentConfig,
    strongest: StrongestBaseline | None,
) -> str:
    failed = [check for check in checks if check.passed is False]
    if failed:
        text = f"{model} is refused: " + "; ".join(check.reason for check in failed)
    elif environment.promotion == "automatic":
        text = f"{model} passes the gate: every check that applies passed"
    else:
        text = (
            f"{model} passes the gate, but environment {environment.name} promotes nothing by the "
            "gate alone: it is refused"
        )
    if strongest is None:
        return text + "."
    return f"{text}. Against the strongest baseline: {strongest.words}."


class _Bounds(TypedDict):
    value: float | None
    low: float | None
    high: float | None


def _bounds(measure: Measure) -> _Bounds:
    """Return a measure without its reason."""
    return {"value": measure.value, "low": measure.low, "high": measure.high}
