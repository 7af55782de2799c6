"""Logging to stderr, in every process of the service."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue

from starlette.types import ASGIApp, Message, Receive, Scope, Send

access = logging.getLogger("serve.access")


def configure_logging(level: str) -> None:
    """Log to stderr at ``level``; LitServe's own messages too, which otherwise go to stdout."""
    logging.basicConfig(
        level=level,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    litserve = logging.getLogger("litserve")
    litserve.handlers.clear()
    litserve.setLevel(logging.NOTSET)
    litserve.propagate = True
    logging.getLogger("asyncio").setLevel(logging.WARNING)


@contextmanager
def logging_in_a_thread() -> Iterator[None]:
    """Let a thread write what is logged meanwhile.

    Whoever reads stderr may stop to read it; then writing waits, and no request should with it.
    """
    root = logging.getLogger()
    waiting: SimpleQueue[logging.LogRecord] = SimpleQueue()
    listener = QueueListener(waiting, *root.handlers)
    root.handlers = [QueueHandler(waiting)]
    listener.start()
    try:
        yield
    finally:
        listener.stop()  # when it has written what waits
        root.handlers = list(listener.handlers)


class AccessLog:
    """One line per request: method, path, status, time. Never a SMILES or a sequence.

    A route may leave a remark for its line in ``request.state.remark``. Probes that find the
    service healthy are logged at DEBUG only.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500  # what the client is sent if the application fails before it answers

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note_status)
        finally:
            probe = scope["path"] == "/health" and status == 200
            access.log(
                logging.DEBUG if probe else logging.INFO,
                "%s %s %d %.1f ms%s",
                scope["method"],
                # Line breaks in a path must not forge a second line.
                ascii(scope["path"])[1:-1],
                status,
                1000 * (time.perf_counter() - started),
                scope.get("state", {}).get("remark", ""),
            )
