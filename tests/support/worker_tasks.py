"""Work for processes of the benchmark: in a module of its own, since each one imports it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tests.benchmarks.worker import Elsewhere


def own_time(seconds: float) -> Callable[[], float]:
    return lambda: seconds


def environment_is(expected: dict[str, str | None]) -> Callable[[], float]:
    found = {name: os.environ.get(name) for name in expected}
    return lambda: float(found == expected)


def allocates(mebibytes: int) -> Callable[[], None]:
    def run() -> None:
        bytearray(b"1") * (mebibytes * 2**20)

    return run


def elsewhere(figures: list[tuple[float, float]]) -> Callable[[], Elsewhere]:
    left = iter(figures)
    return lambda: Elsewhere(*next(left))


def fails(_argument: Any) -> Callable[[], None]:
    def run() -> None:
        raise ValueError("three is no even number")

    return run


def dies(_argument: Any) -> Callable[[], None]:
    return lambda: os._exit(7)


def double(number: int) -> int:
    if number < 0:
        raise ValueError("negative")
    return 2 * number
