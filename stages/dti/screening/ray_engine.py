"""The chunks of a screen on a Ray cluster: on this machine's processors, or on many machines.

The model's files and this package's code travel with the job, so the machines share no disk. Each
worker unpacks and loads the model once; the chunks come back to the process that asked for them,
which writes them as the local engine does.
"""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from stages.dti.config.screen import RayConfig
from stages.dti.errors import ConfigError
from stages.dti.features.store import TargetFeatures
from stages.dti.paths import ROOT
from stages.dti.prediction.inputs import PreparedInputs
from stages.dti.prediction.predictor import Predictor
from stages.dti.runtime.process import LIBRARY_SETTINGS
from stages.dti.screening.chunks import Chunk, ChunkSettings, limit_threads, score_chunk
from stages.dti.screening.job import Engine, Job

_CONNECT_TIMEOUT_S = 10

_RESTARTS = 3
"""Of a worker whose process or machine was lost; its chunk is then scored again."""


class Worker:
    """A process of the cluster, with the model loaded."""

    def __init__(
        self,
        files: dict[str, bytes],
        targets: PreparedInputs[TargetFeatures],
        settings: ChunkSettings,
    ) -> None:
        limit_threads(settings.threads)
        with tempfile.TemporaryDirectory() as scratch:
            for name, content in files.items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self._predictor = Predictor.load(Path(scratch))
        self._targets = targets
        self._settings = settings

    def score(self, number: int, smiles: list[str | None]) -> tuple[int, Chunk]:
        """Score a chunk; its number comes back with it."""
        return number, score_chunk(self._predictor, self._targets, smiles, self._settings)


def ray_engine(config: RayConfig) -> Engine:
    """Return the engine; the cluster is asked for when there is a chunk to score.

    Raises:
        ConfigError: Ray is not installed.
    """
    ray = _import_ray()

    def score(job: Job, chunks: Sequence[int]) -> Iterator[tuple[int, Chunk]]:
        if chunks:
            yield from _score(ray, config, job, chunks)

    return score


def _score(
    ray: ModuleType, config: RayConfig, job: Job, chunks: Sequence[int]
) -> Iterator[tuple[int, Chunk]]:
    threads = job.settings.threads
    settings: dict[str, Any] = {"num_cpus": config.workers * threads, "include_dashboard": False}
    if config.address is not None:
        _check_reachable(config.address)
        settings = {}
    environment = LIBRARY_SETTINGS | {"OMP_NUM_THREADS": str(threads)}
    ray.init(
        address=config.address or "local",
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"py_modules": [str(ROOT / "stages")], "env_vars": environment},
        **settings,
    )
    try:
        files = ray.put(_files(job.folder))
        remote = ray.remote(num_cpus=threads, max_restarts=_RESTARTS, max_task_retries=_RESTARTS)(
            Worker
        )
        count = min(config.workers, len(chunks))
        workers = [remote.remote(files, job.ready, job.settings) for _ in range(count)]
        pool = ray.util.ActorPool(workers)
        yield from pool.map_unordered(
            lambda worker, number: worker.score.remote(number, job.smiles(number)), list(chunks)
        )
    finally:
        ray.shutdown()  # ends the workers, and the cluster if it was started here


def _check_reachable(address: str) -> None:
    """Ask whether anything listens there: Ray itself goes on trying for more than ten minutes.

    Raises:
        ConfigError: nothing does, or it is no address.
    """
    try:
        host, port = address.removeprefix("ray://").rsplit(":", 1)
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"screen.ray.address: no Ray cluster answers at {address!r} ({error}); give HOST:PORT "
            "of one (`ray start --head` says which), or null to start one on this machine"
        ) from error


def _files(folder: Path) -> dict[str, bytes]:
    """Return the files below ``folder`` by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _import_ray() -> ModuleType:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported
    try:
        import ray
        import ray.util
    except ModuleNotFoundError as error:
        raise ConfigError(
            "screen.engine is ray, but Ray is not installed; install the extra `ray` "
            "(`pip install drug-repurposing-pipeline[ray]`), or set screen.engine to local"
        ) from error
    module: ModuleType = ray
    return module
