"""What a figure depends on besides the code: the machine, its peak, and what else ran on it."""

from __future__ import annotations

import os
import platform
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil
import torch

PEAK_SHAPES = ((1024, 1024, 1024), (4096, 1024, 1024), (2048, 2048, 2048))
"""m, k, n of the products whose best rate is called the machine's peak."""

PEAK_REPEATS = 5
LISTED_PROCESSES = 5


def bf16_is_native() -> bool:
    """Whether the processor multiplies bf16 itself; elsewhere it is slower than float32."""
    supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return supported and bool(torch.cpu._is_avx512_bf16_supported())


def describe_machine(threads: int) -> dict[str, Any]:
    """Return processor, memory and versions; ``threads`` is how many each measured process has."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "memory_mib": round(psutil.virtual_memory().total / 2**20),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "bf16_is_native": bf16_is_native(),
        "native_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        facts: dict[str, str] = {}
        for line in information.read_text().split("\n\n")[0].splitlines():
            key, _, value = line.partition(":")
            facts[key.strip()] = value.strip()
        name = facts.get("model name")
        if name:
            numbers = (facts.get("cpu family"), facts.get("model"))
            return f"{name} (family {numbers[0]}, model {numbers[1]})"
    return platform.processor() or platform.machine()


def matrix_peak(sizes: tuple[tuple[int, int, int], ...] = PEAK_SHAPES) -> dict[str, float]:
    """Return ``<precision>_gflop_per_s``: the best rate of a few large matrix products."""
    rates = {}
    for name, kind in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        best = 0.0
        for m, k, n in sizes:
            first, second = torch.randn(m, k).to(kind), torch.randn(k, n).to(kind)
            result = torch.empty(m, n, dtype=kind)
            for _ in range(PEAK_REPEATS):
                started = time.perf_counter()
                torch.mm(first, second, out=result)
                best = max(best, 2e-9 * m * k * n / (time.perf_counter() - started))
        rates[f"{name}_gflop_per_s"] = round(best, 1)
    return rates


class Surroundings:
    """What else used the processor between the making of this object and ``report``."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._load = os.getloadavg()
        self._busy_s = _machine_busy_s()
        self._own_s = _own_s()
        self._each_s = _others_s()

    def report(self) -> dict[str, Any]:
        """Return load averages and CPU shares, of one core each: 2.0 is two cores kept busy.

        ``others_cpu_share`` holds everything but this process and its children, however short
        it lived; ``others`` names the processes that were there at both ends.
        """
        elapsed = time.monotonic() - self._started
        others_s = _machine_busy_s() - self._busy_s - (_own_s() - self._own_s)
        shares: defaultdict[str, float] = defaultdict(float)
        for (identifier, name), seconds in _others_s().items():
            before = self._each_s.get((identifier, name))
            if before is not None:
                shares[name] += (seconds - before) / elapsed
        return {
            "elapsed_s": round(elapsed, 1),
            "load_average_1_min_before": round(self._load[0], 2),
            "load_average_1_min_after": round(os.getloadavg()[0], 2),
            "others_cpu_share": round(max(0.0, others_s / elapsed), 3),
            "others": {
                name: round(share, 3)
                for name, share in sorted(shares.items(), key=lambda item: -item[1])[
                    :LISTED_PROCESSES
                ]
                if share >= 0.001
            },
        }


def _machine_busy_s() -> float:
    times = psutil.cpu_times()
    waiting = times.idle + getattr(times, "iowait", 0.0)
    # Guest time is in user time already, stolen time is not ours to have.
    uncounted = sum(getattr(times, name, 0.0) for name in ("guest", "guest_nice", "steal"))
    return float(sum(times) - waiting - uncounted)


def _own_processes() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def _own_s() -> float:
    total = 0.0
    for process in _own_processes():
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _others_s() -> dict[tuple[int, str], float]:
    own = {process.pid for process in _own_processes()}
    seconds = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if process.pid not in own and times is not None:
            seconds[process.pid, process.info["name"]] = times.user + times.system
    return seconds
