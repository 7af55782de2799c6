"""``reports/decision.json``: may the candidate be promoted?"""

from __future__ import annotations

from typing import Literal

from stages.dti.artifacts.base import Artifact, Count, Sha256, Share
from stages.dti.artifacts.measured import Measure, Value
from stages.dti.config.environment import EnvironmentConfig


class Check(Artifact):
    """One rule of the gate.

    Attributes:
        observed: what was measured, in the metric's unit; ``None`` where nothing could be.
        threshold: what it was compared with.
        passed: ``None`` where the rule does not apply; it then decides nothing.
        reason: the outcome in words.
    """

    name: str
    observed: Value | None
    threshold: Value | None
    passed: bool | None
    reason: str


class PreviousComparison(Artifact):
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
    model_sha256: Sha256
    basis: Literal["recorded", "rescored", "none"]
    reason: str
    pairs: Count
    left_out: Count
    previous: dict[str, Value | None] | None
    candidate: dict[str, Value | None] | None


class DecidedCandidate(Measure):
    """The candidate, with its value of the gate's metric."""

    model: str
    model_sha256: Sha256
    n: Count
    prevalence: Share | None


class StrongestBaseline(Measure):
    """A baseline, with its value of the gate's metric.

    Attributes:
        difference: candidate minus baseline, paired.
        words: the same in words.
    """

    name: str
    difference: Measure
    words: str


class Decision(Artifact):
    """What the gate says, and why: no time, no run id, no version number.

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
    metric: Literal["auroc", "auprc"]
    environment: EnvironmentConfig
    candidate: DecidedCandidate
    checks: list[Check]
    strongest_baseline: StrongestBaseline | None
    previous: PreviousComparison | None
