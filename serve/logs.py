"""Logging to stderr, in every process of the service."""

from __future__ import annotations

import logging
import sys
import time

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
