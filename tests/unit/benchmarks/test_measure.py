"""The timing harness and its processes, by counted work: no test reads a clock."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.benchmarks import measure, worker
from tests.benchmarks.measure import Variant, interleave
from tests.support import worker_tasks

PEAKS = {"float32_gflop_per_s": 100.0, "bf16_gflop_per_s": 400.0}


class Counter:
    """A clock that only work moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now


class Counted:
    """Does ``units`` of work each time."""

    def __init__(self, name: str, units: float, clock: Counter) -> None:
        self.name, self.units, self.clock = name, units, clock

    def once(self) -> float:
        self.clock.now += self.units
        self.clock.order.append(self.name)
        return self.units


def test_runs_take_turns_after_the_warm_up() -> None:
    clock = Counter()
    runners = [Counted("a", 3, clock), Counted("b", 1, clock)]
    seconds = interleave(runners, [1, 2], repeats=2, budget_s=100, clock=clock)
    assert clock.order == ["a", "b", "b", "a", "b", "a", "b"]
    assert seconds == [[3, 3], [1, 1]]


def test_a_spent_budget_still_leaves_one_round() -> None:
    clock = Counter()
    runners = [Counted("a", 3, clock), Counted("b", 1, clock)]
    assert interleave(runners, [1, 1], 9, budget_s=0, clock=clock) == [[3], [1]]
    assert interleave(runners, [0, 0], 9, budget_s=6, clock=clock) == [[3, 3], [1, 1]]


def test_what_does_four_times_the_work_is_reported_four_times_slower() -> None:
    clock = Counter()
    slow, fast = Counted("a", 4, clock), Counted("b", 1, clock)
    seconds = interleave([slow, fast], [0, 0], 5, 100, clock)
    rows = [
        measure.describe(Variant(name, _nothing, None, work), "pairs", own, PEAKS)
        for name, work, own in zip(("reference", "ours"), (10, 10), seconds, strict=True)
    ]
    measure.add_ratios(rows, "pairs")
    assert [row["pairs_per_s"] for row in rows] == [2.5, 10.0]
    assert [row["times_reference"] for row in rows] == [1.0, 4.0]
    assert "times_published" not in rows[0]


def test_ratios_to_both_yardsticks_stand_side_by_side() -> None:
    rows: list[dict[str, Any]] = [
        {"variant": name, "pairs_per_s": rate}
        for name, rate in (("reference", 2.0), ("published", 1.0), ("ours", 8.0))
    ]
    measure.add_ratios(rows, "pairs")
    assert [row["times_reference"] for row in rows] == [1.0, 0.5, 4.0]
    assert [row["times_published"] for row in rows] == [2.0, 1.0, 8.0]


def test_rates_are_compared_per_unit_of_work() -> None:
    """A reference that does a hundredth of the work in a tenth of the time is ten times slower."""
    few = measure.describe(Variant("reference", _nothing, None, 1), "pairs", [1.0], PEAKS)
    many = measure.describe(Variant("ours", _nothing, None, 100), "pairs", [10.0], PEAKS)
    measure.add_ratios([few, many], "pairs")
    assert many["times_reference"] == 10.0


def test_shares_of_the_peak_are_of_the_same_precision() -> None:
    variant = Variant("ours", _nothing, None, 1, gflop=200.0, precision="bf16")
    row = measure.describe(variant, "pairs", [1.0, 2.0, 3.0], PEAKS)
    assert (row["n"], row["median_s"], row["p10_s"], row["p90_s"]) == (3, 2.0, 1.2, 2.8)
    assert (row["gflop_per_s"], row["share_of_peak"]) == (100.0, 0.25)
    assert "share_of_peak" not in measure.describe(
        Variant("ours", _nothing, None, 1), "pairs", [1.0], PEAKS
    )


def test_without_a_reference_nothing_is_compared() -> None:
    rows: list[dict[str, Any]] = [{"variant": "ours", "pairs_per_s": 2.0}]
    measure.add_ratios(rows, "pairs")
    assert "times_reference" not in rows[0]


def _nothing(_argument: Any) -> Callable[[], None]:
    return lambda: None


@pytest.fixture
def light_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is started here need not import what these tasks don't use."""
    monkeypatch.setattr(worker, "PRELOADED", ["__main__", "torch"])


@pytest.mark.usefixtures("light_server")
def test_a_worker_reports_time_and_the_peak_memory_of_its_own_work() -> None:
    with (
        worker.Worker(worker_tasks.allocates, 20, 1) as small,
        worker.Worker(worker_tasks.allocates, 220, 1) as large,
        worker.Worker(worker_tasks.own_time, 12.5, 1) as own,
    ):
        for each in (small, large):
            assert each.once() > 0
        assert own.once() == 12.5
        figures = [each.memory() for each in (small, large)]
    added = figures[1]["added_memory_mib"] - figures[0]["added_memory_mib"]
    assert 195 < added < 205
    assert all(f["peak_memory_mib"] > f["added_memory_mib"] for f in figures)


@pytest.mark.slow
def test_a_worker_of_another_environment_is_a_fresh_interpreter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    wanted: dict[str, str | None] = {"GOMP_SPINCOUNT": None, "DTI_TEST": "1"}
    with worker.Worker(worker_tasks.environment_is, wanted, 1, environment=wanted) as changed:
        assert changed.once() == 1.0
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    assert "DTI_TEST" not in os.environ


@pytest.mark.usefixtures("light_server")
def test_work_in_a_further_process_brings_its_own_figures() -> None:
    with worker.Worker(worker_tasks.elsewhere, [(3.0, 70.0), (2.0, 50.0)], 1) as waiting:
        assert [waiting.once(), waiting.once()] == [3.0, 2.0]
        assert waiting.memory() == {"peak_memory_mib": 70.0}


@pytest.mark.usefixtures("light_server")
def test_a_failure_in_a_worker_is_told_with_its_traceback() -> None:
    with (
        worker.Worker(worker_tasks.fails, None, 1) as failing,
        pytest.raises(worker.WorkerError, match=r"fails failed(.|\n)*three is no even number"),
    ):
        failing.once()


@pytest.mark.usefixtures("light_server")
def test_a_worker_that_dies_is_told_with_its_exit_code() -> None:
    with (
        worker.Worker(worker_tasks.dies, None, 1) as dying,
        pytest.raises(worker.WorkerError, match=r"exit code 7; .* smaller benchmark\.sizes"),
    ):
        dying.once()


@pytest.mark.usefixtures("light_server")
def test_a_function_can_be_called_in_a_process_of_its_own() -> None:
    assert worker.in_process(worker_tasks.double, 21, 1) == 42
    with pytest.raises(worker.WorkerError, match="negative"):
        worker.in_process(worker_tasks.double, -1, 1)
