"""A process that prepares one piece of work and does it whenever it is told to.

Its peak memory is that of this work alone. Processes are forked from a server that has imported
the libraries and computed nothing, so that starting one costs milliseconds; where the environment
matters, which native libraries read once, a fresh interpreter is started instead.
"""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stages.dti.errors import DtiError


@dataclass(frozen=True)
class Elsewhere:
    """What work in a further process took, when the worker only waited for it."""

    seconds: float
    peak_memory_mib: float


Run = Callable[[], float | Elsewhere | None]
"""What is timed. It may time a part of itself: then it returns that part's seconds."""

Prepare = Callable[[Any], Run]

PRELOADED = ["tests.benchmarks.cases", "stages.dti.training.drugban"]
"""What the server imports, once."""


class WorkerError(DtiError):
    """The work of a process failed; the message holds its traceback or its exit code."""


class Worker:
    """A context in which ``prepare(argument)`` has been called in another process."""

    def __init__(
        self,
        prepare: Prepare,
        argument: Any,
        threads: int,
        environment: dict[str, str | None] | None = None,
    ) -> None:
        self._name = f"{prepare.__module__}.{prepare.__qualname__}"
        self._connection, theirs = multiprocessing.Pipe()
        with _environment(environment or {}):
            self._process = _context(fresh=environment is not None).Process(  # type: ignore[attr-defined]
                target=_serve, args=(theirs, prepare, argument, threads), daemon=False
            )
            self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        self._receive()
        return self

    def once(self) -> float:
        """Do the work once; return its seconds."""
        return float(self._ask("once"))

    def memory(self) -> dict[str, float]:
        """Return ``peak_memory_mib``, and ``added_memory_mib``: peak less what it began with.

        Of processes that this one starts, such as those of joblib, nothing is counted.
        """
        figures: dict[str, float] = self._ask("memory")
        return figures

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with suppress(BrokenPipeError):
            self._connection.send("end")
        self._process.join()
        self._connection.close()

    def _ask(self, question: str) -> Any:
        self._connection.send(question)
        return self._receive()

    def _receive(self) -> Any:
        try:
            succeeded, value = self._connection.recv()
        except EOFError:
            self._process.join()
            raise WorkerError(
                f"the process of {self._name} ended with exit code {self._process.exitcode}; "
                "-9 is most often too little memory: choose smaller benchmark.sizes"
            ) from None
        if not succeeded:
            raise WorkerError(f"{self._name} failed:\n{value}")
        return value


def in_process(function: Callable[[Any], Any], argument: Any, threads: int) -> Any:
    """Return ``function(argument)``, computed in a process of its own."""
    results, theirs = multiprocessing.Pipe(duplex=False)
    process = _context(fresh=False).Process(  # type: ignore[attr-defined]
        target=_answer, args=(theirs, function, argument, threads)
    )
    process.start()
    theirs.close()
    try:
        succeeded, value = results.recv()
    except EOFError:
        succeeded, value = False, "the process ended without an answer"
    process.join()
    if not succeeded:
        raise WorkerError(f"{function.__module__}.{function.__qualname__} failed:\n{value}")
    return value


def _context(*, fresh: bool) -> BaseContext:
    if fresh:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@contextmanager
def _environment(values: dict[str, str | None]) -> Iterator[None]:
    """Set variables, or remove those that are ``None``, for what is started within."""
    before = {name: os.environ.get(name) for name in values}
    _set_environment(values)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _answer(
    connection: Connection, function: Callable[[Any], Any], argument: Any, threads: int
) -> None:
    try:
        _set_threads(threads)
        connection.send((True, function(argument)))
    except Exception:
        connection.send((False, traceback.format_exc()))


def _serve(connection: Connection, prepare: Prepare, argument: Any, threads: int) -> None:
    try:
        _set_threads(threads)
        run = prepare(argument)
        gc.collect()
        _forget_peak()
        before, elsewhere_mib = peak_memory_mib(), 0.0
        connection.send((True, None))
        while (question := connection.recv()) != "end":
            if question == "memory":
                peak = peak_memory_mib()
                figures = {"peak_memory_mib": peak, "added_memory_mib": peak - before}
                if elsewhere_mib:
                    figures = {"peak_memory_mib": elsewhere_mib}
                connection.send((True, figures))
                continue
            started = time.perf_counter()
            own = run()
            seconds = time.perf_counter() - started
            if isinstance(own, Elsewhere):
                seconds, elsewhere_mib = own.seconds, max(elsewhere_mib, own.peak_memory_mib)
            elif own is not None:
                seconds = own
            connection.send((True, seconds))
    except EOFError:
        return
    except Exception:
        connection.send((False, traceback.format_exc()))
    finally:
        _end_pool()


def _end_pool() -> None:
    """End joblib's processes: it keeps them idle for minutes, and this one would wait for them."""
    if "joblib" in sys.modules:
        from joblib.executor import get_memmapping_executor

        get_memmapping_executor(1).terminate(kill_workers=True)
        # A process of multiprocessing skips these, and joblib's remove its folders.
        atexit._run_exitfuncs()


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _forget_peak() -> None:
    """Let the kernel's record of peak memory begin anew, where it can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mib() -> float:
    """Return this process's peak resident memory.

    The kernel's own record of this address space comes first: what ``getrusage`` gives holds the
    peak of the process that this one was forked from, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
