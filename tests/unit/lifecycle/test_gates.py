"""The gate, by numbers: every rule once kept and once broken."""

from __future__ import annotations

from typing import Any

import pytest

from stages.dti.artifacts.decision import Check, Decision, PreviousComparison
from stages.dti.artifacts.metrics import Metrics
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.errors import ConfigError
from stages.dti.lifecycle.gates import decide
from tests.support.artifacts import table

PROMOTE = PromoteConfig(
    metric="auroc",
    floor=0.7,
    must_beat=["base_rate", "nearest_neighbour"],
    must_beat_margin=0.0,
    max_loss_to_previous=0.01,
    golden_pairs=5,
)
DEV = EnvironmentConfig(name="dev", alias="production", promotion="automatic")
PROD = EnvironmentConfig(name="prod", alias="production", promotion="refuse")
SHA = "a" * 64
NOT_WORSE = "not worse than the promoted model"


def entry(value: float | None, width: float | None = 0.03) -> dict[str, float | None]:
    if value is None or width is None:
        return {"value": value, "low": None, "high": None}
    return {"value": value, "low": round(value - width, 6), "high": round(value + width, 6)}


def difference(value: float | None, width: float | None = 0.03) -> dict[str, Any]:
    return entry(value, width) | {"verdict": None}


def metrics(
    candidate: float | None = 0.85, width: float | None = 0.03, **baselines: float | None
) -> dict[str, Any]:
    values = baselines or {"base_rate": 0.5, "nearest_neighbour": 0.8, "gradient_boosting": 0.851}
    return {
        "candidate": {"model": "drugban", **table(entry(candidate))},
        "baselines": {name: table(entry(value)) for name, value in values.items()},
        "differences": {
            name: dict.fromkeys(
                ("auroc", "auprc"),
                difference(
                    None if candidate is None or value is None else round(candidate - value, 6),
                    width,
                ),
            )
            for name, value in values.items()
        },
        "same_as_candidate": [],
        "test": {"n": 500, "prevalence": 0.3, "drugs": 100, "targets": 20},
    }


def previous(
    before: float | None, now: float | None, basis: str = "recorded"
) -> PreviousComparison:
    return PreviousComparison(
        model="gradient_boosting",
        model_sha256="b" * 64,
        basis=basis,  # type: ignore[arg-type]
        reason="both were evaluated on the same data and split",
        pairs=500,
        left_out=0,
        previous=None if basis == "none" else {"auroc": before, "auprc": before},
        candidate=None if basis == "none" else {"auroc": now, "auprc": now},
    )


def expected(
    name: str, observed: float | None, threshold: float, passed: bool | None, reason: str
) -> Check:
    return Check(name=name, observed=observed, threshold=threshold, passed=passed, reason=reason)


def judge(
    measured: dict[str, Any] | None = None,
    before: PreviousComparison | None = None,
    environment: EnvironmentConfig = DEV,
    **changes: Any,
) -> Decision:
    promote = PROMOTE.model_copy(update=changes)
    found = Metrics.model_validate(measured or metrics())
    return decide(found, SHA, before, promote, environment)


def check(decision: Decision, name: str) -> Check:
    [found] = [check for check in decision.checks if check.name == name]
    return found


def test_good_candidate_passes_and_the_decision_says_why() -> None:
    decision = judge()
    assert decision.verdict == "passed"
    assert decision.gate_passed
    assert [item.name for item in decision.checks] == [
        "floor",
        "beats base_rate",
        "beats nearest_neighbour",
        "not worse than the promoted model",
    ]
    assert check(decision, "floor") == expected(
        "floor", 0.85, 0.7, True, "AUROC 0.850 is at or above the floor 0.700"
    )
    assert check(decision, "beats nearest_neighbour").observed == 0.05
    assert check(decision, "not worse than the promoted model").passed is None
    assert decision.summary.startswith("drugban passes the gate: every check that applies passed.")
    assert "promoted" not in decision.summary


def test_strongest_baseline_is_told_though_it_decides_nothing() -> None:
    decision = judge()
    assert decision.verdict == "passed"
    strongest = decision.strongest_baseline
    assert strongest is not None
    assert strongest.name == "gradient_boosting"
    assert strongest.difference.plain() == {"value": -0.001, "low": -0.031, "high": 0.029}
    assert strongest.words == (
        "about equal to gradient_boosting: AUROC -0.001, and the interval (-0.031 to +0.029) "
        "includes 0"
    )
    assert strongest.words in decision.summary


@pytest.mark.parametrize(
    ("baseline", "words"),
    [(0.7, "better than gradient_boosting"), (0.95, "worse than gradient_boosting")],
)
def test_strongest_baseline_in_words(baseline: float, words: str) -> None:
    measured = metrics(base_rate=0.5, nearest_neighbour=0.6, gradient_boosting=baseline)
    strongest = judge(measured).strongest_baseline
    assert strongest is not None
    assert words in strongest.words


def test_an_interval_that_includes_0_is_no_difference() -> None:
    ahead = metrics(base_rate=0.5, nearest_neighbour=0.6, gradient_boosting=0.84)
    strongest = judge(ahead).strongest_baseline
    assert strongest is not None
    assert strongest.words.startswith("about equal to gradient_boosting: AUROC +0.010")


def test_no_interval_and_no_baseline() -> None:
    strongest = judge(metrics(width=None)).strongest_baseline
    assert strongest is not None
    assert "too few test pairs" in strongest.words
    alone = metrics() | {"baselines": {}, "differences": {}}
    decision = judge(alone, must_beat=[])
    assert decision.strongest_baseline is None
    assert decision.verdict == "passed"


def test_the_gate_may_judge_by_auprc() -> None:
    measured = metrics()
    measured["candidate"]["auprc"] = entry(0.6)
    for name, value in (("nearest_neighbour", 0.55), ("gradient_boosting", 0.62)):
        measured["baselines"][name]["auprc"] = entry(value)
        measured["differences"][name]["auprc"] = difference(round(0.6 - value, 6))
    decision = judge(measured, metric="auprc", floor=0.5, must_beat=["nearest_neighbour"])
    assert decision.verdict == "passed"
    assert decision.candidate.value == 0.6
    assert check(decision, "floor").reason == "AUPRC 0.600 is at or above the floor 0.500"
    assert check(decision, "beats nearest_neighbour").observed == 0.05
    assert "AUPRC -0.020" in decision.summary
    before = previous(0.85, 0.85)
    assert check(judge(measured, before, metric="auprc"), NOT_WORSE).reason.startswith("AUPRC")


def test_the_decision_repeats_what_it_was_made_from() -> None:
    before = previous(0.85, 0.85)
    plain = judge(before=before, environment=PROD).plain()
    assert plain["environment"] == PROD.model_dump()
    assert plain["previous"]["model_sha256"] == "b" * 64
    assert plain["candidate"] == {
        "model": "drugban",
        "model_sha256": SHA,
        "n": 500,
        "prevalence": 0.3,
        **entry(0.85),
    }


def test_below_the_floor_is_refused() -> None:
    decision = judge(floor=0.86)
    assert decision.verdict == "refused"
    assert check(decision, "floor").passed is False
    assert "AUROC 0.850 is below the floor 0.860" in decision.summary
    assert judge(floor=0.85).verdict == "passed"


def test_baseline_that_is_not_beaten_refuses() -> None:
    equal = metrics(base_rate=0.5, nearest_neighbour=0.85, gradient_boosting=0.5)
    decision = judge(equal)
    assert decision.verdict == "refused"
    assert check(decision, "beats nearest_neighbour").passed is False
    assert check(decision, "beats base_rate").passed is True


def test_margin_must_be_exceeded() -> None:
    assert judge(must_beat_margin=0.049).verdict == "passed"
    assert judge(must_beat_margin=0.05).verdict == "refused"


def test_unknown_baseline_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'nearest_neighbour'"):
        judge(must_beat=["nearest_neighbor"])


def test_loss_to_the_previous_model_beyond_the_margin_refuses() -> None:
    name = "not worse than the promoted model"
    assert check(judge(before=previous(0.86, 0.85)), name).passed is True
    refused = judge(before=previous(0.861, 0.85))
    assert check(refused, name) == expected(
        name,
        -0.011,
        -0.01,
        False,
        "AUROC 0.850 against 0.861 of gradient_boosting on 500 test pairs: -0.011, which is not "
        "within the allowed loss of 0.010; both were evaluated on the same data and split",
    )
    assert refused.verdict == "refused"
    assert judge(before=previous(0.7, 0.85)).verdict == "passed"


@pytest.mark.parametrize(
    "before", [previous(None, 0.9), previous(0.9, None), previous(None, None, "none")]
)
def test_previous_model_that_cannot_be_compared_does_not_block(before: PreviousComparison) -> None:
    decision = judge(before=before)
    assert decision.verdict == "passed"
    found = check(decision, "not worse than the promoted model")
    assert found.passed is None
    assert "not compared" in found.reason


def test_the_strongest_baseline_is_the_one_that_the_candidate_exceeds_least() -> None:
    measured = metrics(base_rate=0.5, nearest_neighbour=0.8, before=0.9)
    measured["baselines"]["before"]["n"] = 300
    measured["differences"]["before"]["auroc"] = difference(0.08)  # 0.98 on its own 300 pairs
    strongest = judge(measured).strongest_baseline
    assert strongest is not None
    assert strongest.name == "nearest_neighbour"


def test_a_baseline_tested_on_fewer_pairs_says_so() -> None:
    measured = metrics(base_rate=0.5, nearest_neighbour=0.6, before=0.9)
    measured["baselines"]["before"]["n"] = 300
    measured["differences"]["before"]["auroc"] = difference(0.04)
    decision = judge(measured, must_beat=["before"])
    assert check(decision, "beats before") == expected(
        "beats before",
        0.04,
        0.0,
        True,
        "AUROC 0.940 against 0.900: +0.040, which is more than 0.000, on the 300 of 500 test "
        "pairs that before can be tested on",
    )
    assert decision.strongest_baseline is not None
    assert decision.strongest_baseline.name == "before"
    assert decision.strongest_baseline.words.endswith(
        "on the 300 of 500 test pairs that before can be tested on"
    )


def test_a_candidate_that_is_a_baseline_is_compared_with_the_others() -> None:
    measured = metrics(0.851, base_rate=0.5, nearest_neighbour=0.8, gradient_boosting=0.851)
    measured["candidate"]["model"] = "gradient_boosting"
    del measured["differences"]["gradient_boosting"]
    measured["same_as_candidate"] = ["gradient_boosting"]
    decision = judge(measured, must_beat=["gradient_boosting", "nearest_neighbour"])
    assert decision.verdict == "passed"
    assert check(decision, "beats gradient_boosting") == expected(
        "beats gradient_boosting", None, 0.0, None, "gradient_boosting is the candidate itself"
    )
    assert decision.strongest_baseline is not None
    assert decision.strongest_baseline.name == "nearest_neighbour"
    assert "better than nearest_neighbour: AUROC +0.051" in decision.summary

    alone = metrics(0.8, gradient_boosting=0.8) | {"same_as_candidate": ["gradient_boosting"]}
    alone["differences"] = {}
    decision = judge(alone, must_beat=[])
    assert decision.strongest_baseline is None
    assert decision.verdict == "passed"


def test_undefined_metric_is_refused() -> None:
    decision = judge(metrics(candidate=None))
    assert decision.verdict == "refused"
    assert check(decision, "floor").reason == "AUROC is undefined on the test set"
    assert check(decision, "beats base_rate").passed is False


def test_environment_may_refuse_what_the_gate_passes() -> None:
    decision = judge(environment=PROD)
    assert decision.gate_passed
    assert decision.verdict == "refused"
    assert "prod promotes nothing by the gate alone" in decision.summary
    assert not judge(environment=PROD, floor=0.9).gate_passed


def test_decision_is_json_and_the_same_twice(tmp_path: Any) -> None:
    for name in ("one", "two"):
        judge(before=previous(0.85, 0.85)).write(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
