"""The timing harness: cases in processes of their own, run in turns.

A variant is one way to do a case's work. All variants of a group are prepared first, each in its
own process, so that its peak memory is its own; then they run in turns, A B A B, so that whatever
else the machine does meets all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np

from stages.dti.models.base import Precision
from tests.benchmarks.worker import Prepare, Worker

Clock = Callable[[], float]


@dataclass(frozen=True)
class Variant:
    """One way to do the work of a group.

    Attributes:
        name: one of ``YARDSTICKS``, or what tells this way from the others.
        prepare: a function at module level; it returns what is timed.
        argument: what ``prepare`` is called with.
        work: units of the case that one run does.
        gflop: what one run computes, by formula; ``None``: not counted.
        precision: of the matrix products, for the share of the peak.
        warm_ups: runs before the first one that counts.
        environment: start a fresh interpreter in which these variables are set so, or are
            absent (``None``).
    """

    name: str
    prepare: Prepare
    argument: Any
    work: float
    gflop: float | None = None
    precision: Precision = "float32"
    warm_ups: int = 1
    environment: dict[str, str | None] | None = None


@dataclass(frozen=True)
class Group:
    """Variants that run in turns, at one size; ``size`` says which, by names with units."""

    size: dict[str, float]
    variants: list[Variant]


@dataclass(frozen=True)
class Case:
    """One question.

    Attributes:
        name: in ``benchmark.cases``.
        what: what one run does, in a sentence.
        unit: of the work (``pairs``, ``drugs``).
        axis: the name in ``size`` against which growth is drawn.
    """

    name: str
    what: str
    unit: str
    axis: str
    groups: list[Group]


class Runner(Protocol):
    """Something that can be timed."""

    def once(self) -> float:
        """Do the work once and return how many seconds it took."""


def interleave(
    runners: Sequence[Runner],
    warm_ups: Sequence[int],
    repeats: int,
    budget_s: float,
    clock: Clock = time.monotonic,
) -> list[list[float]]:
    """Run all in turns and return each one's seconds, in order.

    Args:
        warm_ups: runs of each that do not count, before the first round.
        repeats: rounds.
        budget_s: no round is begun after it, save the first one.
        clock: what the budget is measured with.
    """
    started = clock()
    for runner, count in zip(runners, warm_ups, strict=True):
        for _ in range(count):
            runner.once()
    seconds: list[list[float]] = [[] for _ in runners]
    for _ in range(repeats):
        if seconds[0] and clock() - started > budget_s:
            break
        for runner, own in zip(runners, seconds, strict=True):
            own.append(runner.once())
    return seconds


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return median, tenth and ninetieth percentile (between runs: linear), and how many runs."""
    low, median, high = np.quantile(seconds, [0.1, 0.5, 0.9])
    return {"n": len(seconds), "median_s": median, "p10_s": low, "p90_s": high}


def describe(
    variant: Variant, unit: str, seconds: Sequence[float], peaks: dict[str, float]
) -> dict[str, Any]:
    """Return a variant's figures; names carry units.

    Args:
        peaks: ``<precision>_gflop_per_s`` of the machine, for ``share_of_peak``.
    """
    figures: dict[str, Any] = {"variant": variant.name, **summary(seconds), "work": variant.work}
    median = figures["median_s"]
    figures[f"{unit}_per_s"] = variant.work / median
    if variant.gflop is not None:
        figures["gflop"] = variant.gflop
        figures["gflop_per_s"] = variant.gflop / median
        figures["share_of_peak"] = (
            figures["gflop_per_s"] / peaks[f"{variant.precision}_gflop_per_s"]
        )
    return figures


YARDSTICKS = ("reference", "published")
"""The padded form, and the network as its authors publish it: variants that others are beside."""


def add_ratios(rows: Sequence[dict[str, Any]], unit: str) -> None:
    """Add ``times_<yardstick>``, how many times its rate a row's own is, where there is one."""
    rate = f"{unit}_per_s"
    yardsticks = [row for row in rows if row["variant"] in YARDSTICKS]
    for row, yardstick in product(rows, yardsticks):
        row[f"times_{yardstick['variant']}"] = row[rate] / yardstick[rate]


def measure_group(
    group: Group, unit: str, threads: int, repeats: int, budget_s: float, peaks: dict[str, float]
) -> list[dict[str, Any]]:
    """Return one row of figures per variant."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                Worker(variant.prepare, variant.argument, threads, variant.environment)
            )
            for variant in group.variants
        ]
        seconds = interleave(
            workers, [variant.warm_ups for variant in group.variants], repeats, budget_s
        )
        rows = [
            group.size | describe(variant, unit, own, peaks) | worker.memory()
            for variant, own, worker in zip(group.variants, seconds, workers, strict=True)
        ]
    add_ratios(rows, unit)
    return rows


def measure_case(
    case: Case, threads: int, repeats: int, budget_s: float, peaks: dict[str, float]
) -> dict[str, Any]:
    """Return a case's rows; each group may use an equal share of what is left of ``budget_s``."""
    started = time.monotonic()
    rows = []
    for done, group in enumerate(case.groups):
        left = budget_s - (time.monotonic() - started)
        share = max(0.0, left) / (len(case.groups) - done)
        rows += measure_group(group, case.unit, threads, repeats, share, peaks)
    return {
        "what": case.what,
        "unit": case.unit,
        "axis": case.axis,
        "elapsed_s": time.monotonic() - started,
        "rows": rows,
    }
