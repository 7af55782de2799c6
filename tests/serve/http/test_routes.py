"""The endpoints with a worker that misbehaves, as a healthy one never does."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serve.http.errors import add_error_handlers
from serve.http.routes import Submit, add_health, add_model, add_prediction
from serve.http.schemas import PredictRequest
from serve.http.status import LOADING, BoardView, Snapshot, State, Status
from serve.settings import load_settings

BODY = {"drug": {"smiles": "CCO"}, "target": {"target_id": "P29274"}}

READY = Status(State.READY, "checked")


def ask(
    submit: Submit, method: str, path: str, *, status: Status = READY, body: Any = None
) -> httpx.Response:
    """Return the answer of the endpoints; their requests go to ``submit``."""
    config = load_settings(["serve.request_timeout_s=0.05", "serve.batch_timeout_s=0.01"], {}).serve
    app = FastAPI()
    board = BoardView()
    board.latest = Snapshot({("/predict", 0): status})
    add_error_handlers(app, config)
    add_prediction(app, "/predict", config, board, submit)
    add_health(app, board)
    add_model(app, "/predict", board)

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, json=body)

    return asyncio.run(request())


def test_no_answer_in_time() -> None:
    async def never(_request: PredictRequest) -> None:
        await asyncio.Event().wait()

    answer = ask(never, "POST", "/predict", body=BODY)
    assert answer.status_code == 504
    assert answer.json()["detail"].startswith("no answer within 0.05 s")


async def failed(_request: PredictRequest) -> None:
    """The worker could not score the request, and logged why."""


async def broken(_request: PredictRequest) -> None:
    raise RuntimeError("a secret detail")


@pytest.mark.parametrize("submit", [failed, broken])
def test_failure_shows_no_internals(submit: Submit) -> None:
    answer = ask(submit, "POST", "/predict", body=BODY)
    assert answer.status_code == 500
    assert answer.json() == {
        "detail": "the program failed; the server's log says how",
        "problems": [],
    }


def test_nothing_is_known_before_the_model_is_loaded() -> None:
    health = ask(failed, "GET", "/health", status=LOADING)
    assert health.status_code == 503
    assert health.json()["status"] == "loading"
    for method, path, body in (
        ("POST", "/predict", BODY),
        ("GET", "/model/info", None),
        ("GET", "/model/targets", None),
    ):
        answer = ask(failed, method, path, status=LOADING, body=body)
        assert answer.status_code == 503
        assert "being loaded" in answer.json()["detail"]


def test_long_list_of_problems_is_cut() -> None:
    answer = ask(failed, "POST", "/predict", body={"pairs": [0] * 90})
    assert answer.status_code == 422
    assert len(answer.json()["problems"]) == 20
