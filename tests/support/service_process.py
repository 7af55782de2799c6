"""The service as users start it: a process of its own, which leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from stages.dti.paths import ROOT

START_LIMIT_S = 120
STOP_LIMIT_S = 60
SERVE = (sys.executable, "-m", "serve")


@dataclass(frozen=True)
class Service:
    """A running service."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    def status(self) -> int | None:
        """Return the status code of /health, or ``None`` while nothing listens."""
        try:
            return httpx.get(f"{self.url}/health", timeout=10).status_code
        except httpx.TransportError:
            return None

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Poll ``condition``; fail with the service's log if it ends, or does not come in time."""
        limit = time.monotonic() + START_LIMIT_S
        while not condition():
            if self.process.poll() is not None or time.monotonic() > limit:
                pytest.fail(f"waited in vain for {what}; its log:\n{self.log.read_text()}")

    def stop(self) -> tuple[int, list[psutil.Process]]:
        """Send SIGTERM; return the exit code and the processes that were left, killed by now."""
        family = self.processes() if self.process.poll() is None else []
        if family:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_LIMIT_S)
        finally:
            _, left = psutil.wait_procs(family, timeout=10)
            for orphan in left:
                orphan.kill()
        return code, left

    def processes(self) -> list[psutil.Process]:
        """Return the service's processes."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    folder: Path, log: Path, *overrides: str, command: Sequence[str] = SERVE
) -> Iterator[Service]:
    """Start the service on a free port; afterwards nothing of it is left, whatever came."""
    port = free_port()
    environment = os.environ | {"MODEL_PATH": str(folder), "PORT": str(port), "LOG_LEVEL": "INFO"}
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, *overrides],
            cwd=ROOT,
            env=environment | {"PYTHONPATH": str(ROOT)},
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
        )
    service = Service(f"http://127.0.0.1:{port}", process, log)
    try:
        yield service
    finally:
        service.stop()
