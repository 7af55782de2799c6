"""The LitServe server: its processes, from start to graceful stop.

=================  ================================================================================
parent             watches the others; stops them on SIGTERM, on Ctrl-C, or when one cannot go on
HTTP process       FastAPI: checks bodies, queues requests, waits for answers
workers            each holds a model (``inference/api.py``); started anew if killed
manager            the queues and the status board that they share
=================  ================================================================================

What LitServe 0.2.19 does not do by itself, and this class adds: /health answers while the model is
loading; a request that a dead worker took is answered (504) instead of waiting for ever; SIGTERM
leaves no process behind, and a dead HTTP process ends the server instead of leaving it deaf.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import wait
from types import FrameType
from typing import Any

import litserve as ls
from fastapi import FastAPI

from serve.http.errors import add_error_handlers
from serve.http.middleware import Middleware
from serve.http.routes import add_health, add_model, add_prediction
from serve.http.status import LOADING, BoardView, State, StatusBoard
from serve.inference.api import PredictionAPI
from serve.server.queueing import QueuedRequests
from serve.telemetry.logs import configure_logging, logging_in_a_thread
from stages.dti.config.serve import ServeConfig

logger = logging.getLogger(__name__)

API_VERSION = "1"


class PredictionServer(ls.LitServer):  # type: ignore[misc]  # LitServe has no types
    """Serves until it is told to stop.

    Args:
        apis: each with its own path, model and workers; /model/… tells of the first one's.
        middleware: what wraps every route, the outermost first.
    """

    def __init__(
        self, config: ServeConfig, apis: Sequence[PredictionAPI], middleware: Sequence[Middleware]
    ) -> None:
        self._config = config
        self._apis = list(apis)
        self._view = BoardView()
        self._stopping = threading.Event()
        self._failure: str | None = None
        self._parent = os.getpid()
        self._signalled, self._on_signal = os.pipe()
        super().__init__(
            self._apis,
            accelerator="cpu",
            workers_per_device=config.workers,
            timeout=config.request_timeout_s,
            restart_workers=True,
            middlewares=list(reversed(middleware)),  # LitServe wants the innermost first
        )
        self.monitor_internal = 0.5  # seconds until a killed worker is noticed
        self.app.title = "Drug-target interaction"
        self.app.version = API_VERSION
        self.app.description = (
            "Predicts whether a drug and a protein interact, with the promoted model."
        )

    def serve(self) -> int:
        """Serve until SIGTERM or Ctrl-C; return the exit code, 0 after a graceful stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note_signal)
        try:
            self.run(
                host=self._config.host,
                port=self._config.port,
                num_api_servers=1,
                log_level=self._config.log_level.lower(),
                generate_client_file=False,
                log_config=None,
                access_log=False,
            )
        except SystemExit:  # uvicorn, which has logged why
            address = f"{self._config.host}:{self._config.port}"
            self._failure = f"cannot listen on {address}; free it, or choose another with PORT=…"
        except (EOFError, ConnectionError):
            self._failure = "the manager process ended unexpectedly"
        for process in multiprocessing.active_children():
            # A worker that LitServe restarted in the very moment of the stop.
            process.kill()
            process.join()
        if self._failure is not None:
            logger.error("stopped: %s", self._failure)
            return 1
        logger.info("stopped")
        return 0

    def register_endpoints(self) -> None:
        """Register our endpoints in the place of LitServe's own, which state no schema."""
        add_error_handlers(self.app, self._config)
        for api in self._apis:
            submit = QueuedRequests(api, self).submit
            add_prediction(self.app, api.api_path, self._config, self._view, submit)
        add_health(self.app, self._view)
        add_model(self.app, self._apis[0].api_path, self._view)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Follow the status board while the HTTP process runs, and log without waiting."""
        with logging_in_a_thread():
            async with super().lifespan(app):
                following = asyncio.create_task(self._view.follow(self._board))
                try:
                    yield
                finally:
                    following.cancel()

    def launch_single_inference_worker(self, lit_api: Any, worker_id: int) -> Any:
        """Start a killed worker anew; until it has loaded the model, the service is not ready."""
        self._board.report(lit_api.api_path, worker_id, LOADING)
        return super().launch_single_inference_worker(lit_api, worker_id)

    def verify_worker_status(self) -> None:
        """Do not wait here for the workers: /health is to answer while they load the model."""

    def _init_manager(self, num_api_servers: int) -> Any:
        # LitServe has set up its logging by now, to stdout.
        configure_logging(self._config.log_level)
        # A SIGTERM for the whole process group must not end the manager before the others are done.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            manager = super()._init_manager(num_api_servers)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self._board = StatusBoard(manager.dict(), manager.dict())
        for api in self._apis:
            api.board = self._board
            for worker in range(self._config.workers):
                self._board.report(api.api_path, worker, LOADING)
        return manager

    def _start_server(self, *args: Any, **kwargs: Any) -> Any:
        http_processes = super()._start_server(*args, **kwargs)
        sentinels = [process.sentinel for process in http_processes.values()]
        threading.Thread(target=self._watch, args=(sentinels,), daemon=True).start()
        self._wait_for_workers()
        return http_processes

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._parent:  # a forked process that has no handler of its own (yet)
            raise SystemExit(0)
        # No lock may be taken here, so the manager's event is set by the thread that reads this.
        os.write(self._on_signal, b"s")

    def _watch(self, http_sentinels: list[int]) -> None:
        ended = self._signalled not in wait([self._signalled, *http_sentinels])
        if self._stopping.is_set():
            return
        if ended:
            self._failure = "the HTTP process ended unexpectedly"
        self._stop()

    def _wait_for_workers(self) -> None:
        """Return when the first workers have loaded the model; stop the server if one cannot."""
        sentinels = [worker.sentinel for worker in self.inference_workers]
        while not self._stopping.is_set():
            ended = wait(sentinels, timeout=0.1)
            # Asked second: a worker that loaded the model and then died is LitServe's to replace.
            if self._board.read().service().state is not State.LOADING:
                return
            if ended:
                self._failure = "the model cannot be loaded; the reason is logged above"
                self._stop()

    def _stop(self) -> None:
        """Let ``run`` return; first of all, so that no monitor takes the end for a crash."""
        self._stopping.set()
        self._shutdown_event.set()
