"""The gate: may a candidate be promoted? Pure functions of measured numbers.

A candidate that passes is not yet promoted: that is an act of its own (``transitions.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.errors import ConfigError, nearest
from stages.dti.evaluation.metrics import RANKING, TITLES, interval_text

LABELS = {metric: TITLES[metric] for metric in RANKING}


@dataclass(frozen=True)
class Check:
    """One rule of the gate.

    Attributes:
        observed: what was measured, in the metric's unit; ``None`` where nothing could be.
        threshold: what it was compared with.
        passed: ``None`` where the rule does not apply; it then decides nothing.
        reason: the outcome in words.
    """

    name: str
    observed: float | None
    threshold: float | None
    passed: bool | None
    reason: str


@dataclass(frozen=True)
class PreviousComparison:
    """The candidate beside the model that was promoted before it, on the same test pairs.

    Attributes:
        model, model_sha256: of the previous model.
        basis: ``recorded``: both were evaluated on the same data, by their recorded metrics;
            ``rescored``: the previous model scored the candidate's test pairs;
            ``none``: they cannot be compared, and ``reason`` says why.
        pairs: test pairs that both were measured on.
        left_out: test pairs left out, as ``reason`` says why.
        previous, candidate: metric name → value on those pairs.
    """

    model: str
    model_sha256: str
    basis: Literal["recorded", "rescored", "none"]
    reason: str
    pairs: int = 0
    left_out: int = 0
    previous: Mapping[str, float | None] | None = None
    candidate: Mapping[str, float | None] | None = None


@dataclass(frozen=True)
class Decision:
    """What the gate says, and why.

    Attributes:
        verdict: ``passed``: the candidate may be promoted; or ``refused``.
        gate_passed: every check that applies passed; in an environment that refuses promotion
            the verdict is ``refused`` all the same.
        strongest_baseline: of the baselines that are not the candidate itself the one that it
            exceeds least, or is exceeded by most, with the paired difference; it is told whether
            or not it decides anything.
    """

    verdict: Literal["passed", "refused"]
    gate_passed: bool
    summary: str
    metric: str
    environment: dict[str, Any]
    candidate: dict[str, Any]
    checks: tuple[Check, ...]
    strongest_baseline: dict[str, Any] | None
    previous: PreviousComparison | None

    def to_dict(self) -> dict[str, Any]:
        """Return the decision as JSON values: no time, no run id, no version number."""
        return asdict(self)


def decide(
    metrics: Mapping[str, Any],
    model_sha256: str,
    previous: PreviousComparison | None,
    promote: PromoteConfig,
    environment: EnvironmentConfig,
) -> Decision:
    """Judge the candidate by ``reports/metrics.json`` and the model promoted before.

    Args:
        metrics: what ``evaluate`` wrote: ``candidate``, ``baselines``, ``differences`` (to every
            baseline but those of ``same_as_candidate``), ``same_as_candidate``, ``test``.
        model_sha256: of the candidate's folder.
        previous: ``None`` when no model was promoted before.

    Raises:
        ConfigError: ``promote.must_beat`` names a baseline that was not evaluated.
    """
    candidate = metrics["candidate"]
    value = candidate[promote.metric]["value"]
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
        summary=_summary(candidate["model"], checks, environment, strongest),
        metric=promote.metric,
        environment=environment.model_dump(),
        candidate={
            "model": candidate["model"],
            "model_sha256": model_sha256,
            "n": candidate["n"],
            "prevalence": candidate["prevalence"],
            **_bounds(candidate[promote.metric]),
        },
        checks=tuple(checks),
        strongest_baseline=strongest,
        previous=previous,
    )


def number(value: float | None) -> str:
    """Return a metric as text with three decimals, ``undefined`` where it has no value."""
    return "undefined" if value is None else f"{value:.3f}"


def with_interval(entry: Mapping[str, Any]) -> str:
    """Return ``0.853 (0.821 to 0.884)``, or the value alone where there is no interval."""
    return interval_text(entry["value"], entry["low"], entry["high"])


def _floor(value: float | None, promote: PromoteConfig) -> Check:
    label = LABELS[promote.metric]
    if value is None:
        return Check("floor", None, promote.floor, False, f"{label} is undefined on the test set")
    passed = value >= promote.floor
    side = "at or above" if passed else "below"
    reason = f"{label} {number(value)} is {side} the floor {number(promote.floor)}"
    return Check("floor", value, promote.floor, passed, reason)


def _beats(name: str, metrics: Mapping[str, Any], promote: PromoteConfig) -> Check:
    baselines = metrics["baselines"]
    if name not in baselines:
        raise ConfigError(
            f"promote.must_beat: no baseline {name!r} was evaluated{nearest(name, baselines)}"
        )
    title, label, margin = f"beats {name}", LABELS[promote.metric], promote.must_beat_margin
    if name in metrics["same_as_candidate"]:
        return Check(title, None, margin, None, f"{name} is the candidate itself")
    difference = metrics["differences"][name][promote.metric]["value"]
    if difference is None:
        return Check(title, None, margin, False, f"{label} is undefined on the test set")
    passed = difference > margin
    baseline = baselines[name][promote.metric]["value"]
    reason = (
        f"{label} {number(baseline + difference)} against {number(baseline)}: {difference:+.3f}, "
        f"which is {'' if passed else 'not '}more than {margin:.3f}{_pairs(name, metrics)}"
    )
    return Check(title, difference, margin, passed, reason)


def _pairs(name: str, metrics: Mapping[str, Any]) -> str:
    """Return on which pairs two models were compared, where they were not all test pairs."""
    pairs, of = metrics["baselines"][name]["n"], metrics["test"]["n"]
    return (
        "" if pairs == of else f", on the {pairs} of {of} test pairs that {name} can be tested on"
    )


def _not_worse(previous: PreviousComparison | None, promote: PromoteConfig) -> Check:
    title, label = "not worse than the promoted model", LABELS[promote.metric]
    limit = -promote.max_loss_to_previous
    if previous is None:
        return Check(title, None, limit, None, "no model was promoted before")
    if previous.previous is None or previous.candidate is None:
        return Check(title, None, limit, None, f"not compared: {previous.reason}")
    before, now = previous.previous[promote.metric], previous.candidate[promote.metric]
    if before is None or now is None:
        reason = f"not compared: {label} is undefined on the {previous.pairs} common test pairs"
        return Check(title, None, limit, None, reason)
    difference = round(now - before, 6)  # as the reports are; in binary it is not exact
    passed = difference >= limit
    reason = (
        f"{label} {number(now)} against {number(before)} of {previous.model} on "
        f"{previous.pairs} test pairs: {difference:+.3f}, which is {'' if passed else 'not '}"
        f"within the allowed loss of {promote.max_loss_to_previous:.3f}; {previous.reason}"
    )
    return Check(title, difference, limit, passed, reason)


def _strongest_baseline(metrics: Mapping[str, Any], metric: str) -> dict[str, Any] | None:
    differences = {
        name: of[metric]
        for name, of in metrics["differences"].items()
        if of[metric]["value"] is not None
    }
    if not differences:
        return None
    name = min(sorted(differences), key=lambda name: differences[name]["value"])
    words = _in_words(name, differences[name], LABELS[metric]) + _pairs(name, metrics)
    return {
        "name": name,
        **_bounds(metrics["baselines"][name][metric]),
        "difference": _bounds(differences[name]),
        "words": words,
    }


def _in_words(name: str, difference: Mapping[str, Any], label: str) -> str:
    value, low, high = difference["value"], difference["low"], difference["high"]
    if low is None:
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
    strongest: Mapping[str, Any] | None,
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
    return f"{text}. Against the strongest baseline: {strongest['words']}."


def _bounds(entry: Mapping[str, Any]) -> dict[str, float | None]:
    return {"value": entry["value"], "low": entry["low"], "high": entry["high"]}
