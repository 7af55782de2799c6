"""The board holds the reports of several APIs' workers, and of several versions of a model."""

from __future__ import annotations

import asyncio
import threading

import pytest

from serve.http.schemas import ModelInfoBody
from serve.http.status import LOADING, BoardView, Snapshot, State, Status, StatusBoard


def model(version: str) -> ModelInfoBody:
    return ModelInfoBody(
        name="drugban",
        version=version,
        registered=None,
        sha256=version * 8,
        dataset="sample",
        data_sha256={},
        config={},
        feature_version=1,
        calibration="platt",
        conformal_coverage=0.9,
        threshold=0.5,
        threshold_metric="f1",
        train_pairs=1,
        train_drugs=1,
        train_targets=1,
        known_targets=1,
        metrics={},
    )


def ready(version: str) -> Status:
    return Status(State.READY, f"{version} is ready", model(version))


def test_nothing_is_ready_before_it_says_so() -> None:
    board = StatusBoard({}, {})
    assert board.read().service() == LOADING
    assert board.read().api("/predict") == LOADING


def test_each_api_is_as_its_worst_worker_and_the_service_as_its_worst_api() -> None:
    board = StatusBoard({}, {})
    board.report("/predict", 0, ready("old"))
    board.report("/predict", 1, ready("old"))
    assert board.read().service().state is State.READY
    board.report("/challenger", 0, LOADING)  # the same number, of another API
    found = board.read()
    assert found.api("/predict").state is State.READY
    assert found.api("/challenger").state is State.LOADING
    assert found.service().state is State.LOADING
    board.report("/challenger", 0, Status(State.FAILED, "other scores"))
    board.report("/predict", 1, LOADING)
    found = board.read()
    assert found.api("/predict").state is State.LOADING
    assert found.service().detail == "other scores"


def test_an_api_may_hold_two_versions_while_it_changes() -> None:
    board = StatusBoard({}, {})
    board.report("/predict", 0, ready("old"))
    board.report("/predict", 1, ready("new"))
    board.report("/challenger", 0, ready("third"))
    board.list_targets("old", b"few")
    board.list_targets("new", b"many")
    found = board.read()
    assert found.versions("/predict") == {"old", "new"}
    assert found.versions("/challenger") == {"third"}
    assert found.targets == {"old": b"few", "new": b"many"}


def test_targets_are_fetched_once() -> None:
    board = StatusBoard({}, {"old": b"fetched again"})
    assert board.read(Snapshot({}, {"old": b"first"})).targets == {"old": b"first"}


class Stuck(dict[tuple[str, int], Status]):
    """A manager's dictionary whose process does not answer until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on = threading.Event(), threading.Event()

    def items(self) -> object:  # type: ignore[override]
        self.asked.set()
        self.go_on.wait()
        return super().items()


def test_a_view_is_at_hand_while_the_board_does_not_answer() -> None:
    workers = Stuck()
    view = BoardView()

    async def follow() -> Status:
        following = asyncio.create_task(view.follow(StatusBoard(workers, {})))
        while not workers.asked.is_set():
            await asyncio.sleep(0)
        meanwhile = view.latest.service()
        workers["/predict", 0] = ready("new")
        workers.go_on.set()
        while view.latest.service() == LOADING:
            await asyncio.sleep(0)
        following.cancel()
        return meanwhile

    assert asyncio.run(follow()) == LOADING
    assert view.latest.versions("/predict") == {"new"}


@pytest.mark.parametrize("error", [EOFError(), ConnectionResetError()])
def test_a_board_that_is_gone_fails_the_service(error: Exception) -> None:
    class Gone(dict[tuple[str, int], Status]):
        def items(self) -> object:  # type: ignore[override]
            raise error

    view = BoardView()
    view.latest = Snapshot({("/predict", 0): ready("old")})
    asyncio.run(view.follow(StatusBoard(Gone(), {})))
    assert view.latest.api("/predict").state is State.FAILED
    assert "manager process" in view.latest.service().detail
