"""A request's way from the HTTP process to a worker and back."""

from __future__ import annotations

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from litserve.server import RegularRequestHandler
from litserve.utils import LitAPIStatus, ResponseBufferItem

from serve.http.schemas import PredictAnswer, PredictRequest


class QueuedRequests(RegularRequestHandler):  # type: ignore[misc]  # LitServe has no types
    """Hands requests to the workers of one API.

    The queue is the manager process's, and to put something into it is a round trip there. So a
    thread does it, one for all requests: they keep their order, and the event loop stays free.
    """

    def __init__(self, api: Any, server: Any) -> None:
        super().__init__(api, server)
        self._thread = ThreadPoolExecutor(1, "queueing")  # starts with the first request

    async def submit(self, request: PredictRequest) -> PredictAnswer | None:
        """Queue a request and wait for its answer; forget it if the caller gives up."""
        uid = str(uuid.uuid4())
        # Before it is queued, since the answer may come before this coroutine goes on.
        item = self.server.response_buffer[uid] = ResponseBufferItem(asyncio.Event())
        consumer = self.server.app.response_queue_id
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._thread,
                self.server._get_request_queue(self.lit_api.api_path).put,
                (consumer, uid, time.monotonic(), request),
            )
            await item.event.wait()
        finally:
            del self.server.response_buffer[uid]
        answer: PredictAnswer | None
        answer, status = item.response
        if status == LitAPIStatus.ERROR:
            self._handle_error_response(answer)
        return answer
