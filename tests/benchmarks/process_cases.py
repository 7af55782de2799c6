"""Cases of the process: the settings of native libraries, and where a step's time goes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch.profiler import ProfilerActivity, profile

from stages.dti.models.base import Precision
from stages.dti.runtime.process import LIBRARY_SETTINGS
from tests.benchmarks.inputs import Inputs
from tests.benchmarks.measure import Case, Group, Variant
from tests.benchmarks.training_cases import (
    STEP_BATCHES,
    Steps,
    engine_step,
    prepare_step,
    steps,
)
from tests.benchmarks.worker import Run, in_process

BUSY_PROCESSES = (0, 1)

ALTERNATIVES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16"}
"""Other values of the settings that ``process.py`` makes, tried in their place."""


@dataclass(frozen=True)
class ContendedSteps:
    """Training steps beside processes that keep a core busy each."""

    steps: Steps
    busy_processes: int


def process_settings_case(inputs: Inputs) -> Case:
    """The settings of ``process.py``, none, and others; alone, and beside a busy process."""
    size = inputs.settings.sizes.step_pairs[-1]
    precision: Precision = "bf16" if inputs.bf16 else "float32"
    step = engine_step(inputs, size, "", precision)
    defaults: dict[str, str | None] = dict.fromkeys([*LIBRARY_SETTINGS, *ALTERNATIVES])
    ours = defaults | LIBRARY_SETTINGS
    choices = {
        "as_configured": ours,
        "library_defaults": defaults,
        **{f"{name}_{value}": ours | {name: value} for name, value in ALTERNATIVES.items()},
    }
    groups = [
        Group(
            {"busy_processes": busy, "batch_pairs": size},
            [
                Variant(
                    name,
                    prepare_contended_steps,
                    ContendedSteps(step.argument, busy),
                    STEP_BATCHES * step.work,
                    None if step.gflop is None else STEP_BATCHES * step.gflop,
                    precision,
                    environment=environment,
                )
                for name, environment in choices.items()
            ],
        )
        for busy in BUSY_PROCESSES
    ]
    what = (
        f"{STEP_BATCHES} training steps on different batches, with the environment variables of "
        "stages/dti/runtime/process.py set or left to the libraries"
    )
    return Case("process_settings", what, "pairs", "busy_processes", groups)


def prepare_contended_steps(work: ContendedSteps) -> Run:
    """Every batch once; the busy processes live only while it is timed."""
    step = prepare_step(work.steps)

    def run() -> float:
        with ExitStack() as stack:
            for _ in range(work.busy_processes):
                stack.enter_context(_busy_process())
            started = time.perf_counter()
            for _ in work.steps.batches:
                step()
            return time.perf_counter() - started

    return run


@contextmanager
def _busy_process() -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()  # it has started
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@dataclass(frozen=True)
class Profiling:
    """Training steps to look into."""

    steps: Steps
    count: int
    operators: int


def profile_step(inputs: Inputs) -> dict[str, Any]:
    """Return the operators of training steps by self time, in a process of its own."""
    settings = inputs.settings
    precision: Precision = "bf16" if inputs.bf16 else "float32"
    work = Profiling(
        steps(inputs, settings.sizes.step_pairs[-1], precision),
        settings.profile_steps,
        settings.profile_operators,
    )
    operators, total_ms = in_process(profiled_operators, work, inputs.reproducibility.threads)
    return {
        "what": "Operators of a training step by self time, of the thread that calls them",
        "batch_pairs": settings.sizes.step_pairs[-1],
        "precision": precision,
        "steps": settings.profile_steps,
        "self_time_ms_per_step": total_ms,
        "rows": operators,
    }


def profiled_operators(work: Profiling) -> tuple[list[dict[str, Any]], float]:
    """Return rows of ``operator``, ``calls_per_step``, ``self_ms_per_step``, ``share``; the total.

    Times under the profiler are longer than without; the shares are what counts.
    """
    step = prepare_step(work.steps)
    step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(work.count):
            step()
    events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total_us = sum(event.self_cpu_time_total for event in events)
    rows = [
        {
            "operator": event.key,
            "calls_per_step": event.count / work.count,
            "self_ms_per_step": event.self_cpu_time_total / 1000 / work.count,
            "share": event.self_cpu_time_total / total_us,
        }
        for event in events[: work.operators]
    ]
    return rows, total_us / 1000 / work.count
