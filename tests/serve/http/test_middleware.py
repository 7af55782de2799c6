"""What is added to the one list of middleware stands before every route there is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from serve.http.middleware import Middleware, middleware
from serve.inference.api import PredictionAPI
from serve.inference.source import Source
from serve.server.processes import PredictionServer
from serve.settings import load_settings


class Guard:
    """Refuses what brings no password, as authentication will."""

    def __init__(self, app: ASGIApp, password: str) -> None:
        self.app = app
        self.password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", [])).get(b"password", b"").decode()
        if scope["type"] == "http" and given != self.password:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, send)


GUARD: Middleware = (Guard, {"password": "open"})


def application(*more: Middleware) -> FastAPI:
    """The application of a server that is not started."""
    config = load_settings([], {}).serve
    api = PredictionAPI(config, Source(Path("nothing")))
    app: FastAPI = PredictionServer(config, [api], [*more, *middleware(config)]).app
    return app


def statuses(app: FastAPI, requests: list[tuple[str, str]], **headers: str) -> list[int]:
    """The status codes that the application answers with."""

    async def send() -> list[int]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            answers = [
                await client.request(method, path, headers=headers) for method, path in requests
            ]
        return [answer.status_code for answer in answers]

    return asyncio.run(send())


def every_request(app: FastAPI) -> list[tuple[str, str]]:
    """Each route with each of its methods, FastAPI's own too, and one that is none."""
    routes = [route for route in app.routes if isinstance(route, Route)]
    known = [(method, route.path) for route in routes for method in route.methods or ()]
    assert {("POST", "/predict"), ("GET", "/health"), ("GET", "/model/info")} <= set(known)
    assert {("GET", "/docs"), ("GET", "/openapi.json")} <= set(known)
    assert len(routes) == len(app.routes), "a route of another kind; ask for it as well"
    return [*known, ("GET", "/nowhere")]


def test_a_guard_stands_before_every_route() -> None:
    app = application(GUARD)
    asked = every_request(app)
    assert statuses(app, asked) == [401] * len(asked)
    assert 401 not in statuses(app, asked, password="open")


def test_without_it_nothing_is_refused() -> None:
    app = application()
    assert 401 not in statuses(app, every_request(app))


def test_the_first_of_the_list_is_the_outermost(caplog: pytest.LogCaptureFixture) -> None:
    inner = middleware(load_settings([], {}).serve)
    caplog.set_level("INFO", logger="serve.access")
    statuses(application(GUARD), [("GET", "/docs")])
    assert caplog.messages == []  # refused before the log line is begun
    config = load_settings([], {}).serve
    api = PredictionAPI(config, Source(Path("nothing")))
    statuses(PredictionServer(config, [api], [*inner, GUARD]).app, [("GET", "/docs")])
    assert "GET /docs 401" in caplog.messages[0]
