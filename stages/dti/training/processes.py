"""Training in several processes of one machine, each with its share of every batch.

Only the fit is done by several: the process that asks for it is the first of them and stays the
only one that reports, writes and calibrates. Batch-norm statistics and losses are those of the
whole batch, so that any number of processes computes the same.

The strategy is Lightning's DDP; only the start of the processes is ours. Lightning's ``ddp`` starts
the whole command anew in each process, so that each would write the stage's outputs and track a
run; its ``ddp_spawn`` moves the first of them too into a child, where the caller's callbacks and
MLflow run are out of reach.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Process:
    """One of ``count`` processes that train together."""

    rank: int = 0
    count: int = 1

    def shares(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return each process's rows of a batch: neighbours, so that a target's stay together."""
        return np.array_split(rows, self.count)

    def share(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's rows of a batch."""
        return self.shares(rows)[self.rank]

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of ``values`` over all processes, without gradient."""
        if self.count > 1:
            torch.distributed.all_reduce(values)
        return values


class LocalProcesses(LightningEnvironment):
    """Tells Lightning that the processes run already, all on this machine."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def world_size(self) -> int:
        return self._process.count

    def set_world_size(self, size: int) -> None:
        assert size == self._process.count

    def global_rank(self) -> int:
        return self._process.rank

    def set_global_rank(self, rank: int) -> None:
        assert rank == self._process.rank

    def local_rank(self) -> int:
        return self._process.rank


@contextmanager
def together(
    work: Callable[..., Any], arguments: tuple[Any, ...], count: int, backend: str, folder: Path
) -> Iterator[Process]:
    """Start ``work(*arguments, process)`` in ``count - 1`` new processes; yield this, the first.

    The caller does the same work meanwhile. If it fails, the others are ended.

    Args:
        backend: ``gloo`` or ``nccl``.
        folder: an existing folder, where they find each other.

    Raises:
        RuntimeError: another process failed.
    """
    if count == 1:
        yield Process()
        return
    meeting = folder / "processes"
    spawn = multiprocessing.get_context("spawn")
    others = [
        spawn.Process(
            target=_join,
            args=(work, arguments, Process(rank, count), backend, meeting),
            daemon=True,
        )
        for rank in range(1, count)
    ]
    for other in others:
        other.start()
    try:
        with _group(Process(0, count), backend, meeting):
            yield Process(0, count)
            for other in others:
                other.join()
        failed = [str(other.exitcode) for other in others if other.exitcode]
        if failed:
            raise RuntimeError(f"training processes ended with exit code {', '.join(failed)}")
    finally:
        for other in others:
            other.kill()
        meeting.unlink(missing_ok=True)


def _join(
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    process: Process,
    backend: str,
    meeting: Path,
) -> None:
    with _group(process, backend, meeting):
        work(*arguments, process)


@contextmanager
def _group(process: Process, backend: str, meeting: Path) -> Iterator[None]:
    if sys.platform == "linux":
        # All are on this machine, whose own name need not resolve to an address.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group(
        backend, init_method=meeting.as_uri(), rank=process.rank, world_size=process.count
    )
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()
