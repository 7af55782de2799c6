"""Work in processes of its own: its time, its memory, its environment, its end."""

from __future__ import annotations

import os

import pytest

from tests.benchmarks import worker
from tests.support import worker_tasks


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
