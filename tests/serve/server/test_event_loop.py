"""Nothing on a request's way keeps the HTTP process from answering others."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from litserve.utils import LitAPIStatus

from serve.http.middleware import middleware
from serve.http.status import Snapshot, State, Status
from serve.inference.api import PredictionAPI
from serve.inference.source import Source
from serve.server.processes import PredictionServer
from serve.settings import load_settings
from stages.dti.paths import ROOT

BODY = {"drug": {"smiles": "CCO"}, "target": {"target_id": "P29274"}}
PATHS = ["/health", "/model/info", "/model/targets", "/docs", "/openapi.json", "/nowhere"]


class Queue:
    """A manager's queue whose process answers only when it is let go."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.threads: set[int] = set()

    def put(self, item: Any) -> None:
        self.threads.add(threading.get_ident())
        self.entered.set()
        self.go_on.wait()
        self.items.append(item)


@pytest.fixture
def server() -> PredictionServer:
    """A server that is not started, whose workers are said to be ready."""
    config = load_settings([], {}).serve
    made = PredictionServer(
        config, [PredictionAPI(config, Source(Path("nothing")))], middleware(config)
    )
    made.app.response_queue_id = 0
    made.litapi_request_queues["/predict"] = Queue()
    made._view.latest = Snapshot({("/predict", 0): Status(State.READY, "checked")})
    return made


def client(server: PredictionServer) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(server.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://service")


def test_others_are_answered_while_a_request_cannot_be_queued(server: PredictionServer) -> None:
    queue: Queue = server.litapi_request_queues["/predict"]

    async def ask() -> list[int]:
        async with client(server) as http:
            waiting = asyncio.create_task(http.post("/predict", json=BODY))
            while not queue.entered.is_set():
                await asyncio.sleep(0)
            # If the loop were held by the queue, these would never come.
            answers = [(await http.get(path)).status_code for path in PATHS]
            assert not waiting.done()
            queue.go_on.set()
            while not queue.items:
                await asyncio.sleep(0)
            _, uid, _, request = queue.items[0]
            assert request.drug.smiles == "CCO"
            item = server.response_buffer[uid]
            item.response = (None, LitAPIStatus.OK)
            item.event.set()
            assert (await waiting).status_code == 500  # None: the worker failed
        return answers

    assert asyncio.run(ask()) == [200, 503, 503, 200, 200, 404]
    assert threading.get_ident() not in queue.threads
    assert server.response_buffer == {}


def test_a_route_that_waits_is_found_out(server: PredictionServer) -> None:
    """The check above would see it: here a route does what none may."""
    queue: Queue = server.litapi_request_queues["/predict"]

    @server.app.get("/blocking")
    async def blocking() -> None:
        queue.put(None)

    async def ask() -> None:
        async with client(server) as http:
            await http.get("/blocking")

    threading.Timer(0.1, queue.go_on.set).start()
    asyncio.run(ask())
    assert threading.get_ident() in queue.threads


_events: list[str] = []
_watched = SimpleNamespace(thread=0)
_WAITING = ("open", "socket.connect", "subprocess.Popen", "time.sleep", "os.listdir", "os.scandir")


def _hook(event: str, _arguments: Any) -> None:
    if event in _WAITING and threading.get_ident() == _watched.thread:
        _events.append(event)


def test_no_request_opens_a_file_or_a_connection(server: PredictionServer) -> None:
    sys.addaudithook(_hook)  # for the rest of the process; it looks at this thread while told to
    queue: Queue = server.litapi_request_queues["/predict"]
    queue.go_on.set()

    async def ask() -> None:
        async with client(server) as http:
            for path in PATHS:  # what is made once, at the first request
                await http.get(path)
            _watched.thread = threading.get_ident()
            for path in PATHS:
                await http.get(path)
            waiting = asyncio.create_task(http.post("/predict", json=BODY))
            while not queue.items:
                await asyncio.sleep(0)
            assert _events == []
            with Path(__file__).open():
                assert _events == ["open"]  # the hook sees it
            _watched.thread = 0
            waiting.cancel()

    asyncio.run(ask())


def test_http_process_holds_no_library_that_computes() -> None:
    code = (
        "import sys, serve.__main__\n"
        "print([n for n in ('torch', 'pandas', 'rdkit', 'sklearn', 'mlflow') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_health_answers_while_a_slow_request_runs(service: Any) -> None:
    """Over HTTP: hundreds of pairs are scored by the one worker, and others do not wait for it."""
    drug = {"smiles": "CC(C)Cc1ccc(cc1)C(C)C(=O)O"}
    pairs = [
        {"drug": drug, "target": {"sequence": "MKTAYIAKQR" * 100 + "ACDEFGHIKL"[: 1 + row % 9]}}
        for row in range(100)
    ]
    answers: list[httpx.Response] = []
    slow = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"{service.url}/predict", json={"pairs": pairs}, timeout=60)
        )
    )
    slow.start()
    meanwhile = 0
    while slow.is_alive():
        assert httpx.get(f"{service.url}/health", timeout=60).status_code == 200
        meanwhile += slow.is_alive()
    slow.join()
    assert answers[0].status_code == 200
    assert meanwhile > 0


def test_a_log_that_nobody_reads_stops_no_request(tmp_path: Path) -> None:
    """The access log goes to a pipe that is full; requests are answered all the same."""
    code = """
import asyncio, fcntl, logging, os, sys
import httpx
from fastapi import FastAPI
from serve.telemetry.logs import AccessLog, configure_logging, logging_in_a_thread
read, write = os.pipe()
fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
sys.stderr = os.fdopen(write, "w")
configure_logging("INFO")
logging.getLogger("httpx").setLevel(logging.WARNING)
app = FastAPI()
app.add_middleware(AccessLog)

async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://s") as http:
        for _ in range(200):
            assert (await http.get("/nowhere")).status_code == 404

with logging_in_a_thread():
    asyncio.run(ask())
    lines = b""
    while lines.count(b"\\n") < 200:
        lines += os.read(read, 4096)
assert lines.count(b"GET /nowhere 404") == 200
print("answered")
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "answered", done.stderr
