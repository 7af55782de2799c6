"""MLflow tracking: four experiments, one run per training and per evaluation.

Tracking is a side channel. Nothing that a stage writes depends on it: no run id, no time.
"""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from stages.dti.artifacts.model_files import verify_folder
from stages.dti.config.tracking import TrackingConfig
from stages.dti.paths import ROOT
from stages.dti.runtime.git import git_commit
from stages.dti.tracking.store import MODEL_TAG, Experiment, Store, configure, find_training_run

if TYPE_CHECKING:
    from mlflow.entities import Run

UNKNOWN = "unknown"

SYSTEM_METRICS_INTERVAL_S = 5

MAX_PARAMS_PER_CALL = 100
MAX_PARAM_CHARACTERS = 6000
"""Both are MLflow's own limits."""

logger = logging.getLogger(__name__)


class TrackedRun:
    """A run that is being recorded.

    The store has answered before the run began. Should it fail later on, the work goes on: what
    is not recorded is said in a warning, and the model does not depend on it.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self.run_id = run_id
        self._store = store
        self._client = store.client

    def log_epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log one epoch's metrics; numbers that are not finite are left out."""
        self._log_numbers(metrics, step)

    def log_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Log a nested mapping of results; ``flat_metrics`` says under which names."""
        self._log_numbers(flat_metrics(metrics), 0)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters, nested mappings as ``section.key``."""
        from mlflow.entities import Param

        values = [Param(name, value) for name, value in flat_params(params).items()]

        def send() -> None:
            for first in range(0, len(values), MAX_PARAMS_PER_CALL):
                batch = values[first : first + MAX_PARAMS_PER_CALL]
                self._client.log_batch(self.run_id, params=batch)

        self._attempt("parameters", send)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file, or a folder with all that it holds, below ``folder`` of the run."""

        def send() -> None:
            if path.is_dir():
                below = f"{folder}/{path.name}" if folder else path.name
                self._client.log_artifacts(self.run_id, str(path), below)
            else:
                self._client.log_artifact(self.run_id, str(path), folder)

        self._attempt(str(path), send)

    def log_artifacts(self, paths: Iterable[Path], folder: str | None = None) -> None:
        """Log several files or folders."""
        for path in paths:
            self.log_artifact(path, folder)

    def set_tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self._attempt(f"tag {key}", lambda: self._client.set_tag(self.run_id, key, value))

    def set_model(self, folder: Path) -> str:
        """Tag the run with the identity of the model that it made, and return that."""
        sha256 = verify_folder(folder)
        self.set_tag(MODEL_TAG, sha256)
        return sha256

    def end(self, status: str) -> None:
        """Mark the run FINISHED, FAILED or KILLED."""
        self._attempt(f"status {status}", lambda: self._client.set_terminated(self.run_id, status))

    def _log_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        metrics = [
            Metric(name, float(value), now_ms, step)
            for name, value in numbers.items()
            if math.isfinite(value)
        ]
        if metrics:
            self._attempt("metrics", lambda: self._client.log_batch(self.run_id, metrics=metrics))

    def _attempt(self, what: str, send: Callable[[], object]) -> None:
        from mlflow.exceptions import MlflowException

        try:
            send()
        except (MlflowException, OSError) as error:
            logger.warning("MLflow run %s did not take %s: %s", self.run_id, what, error)


@contextmanager
def training_run(
    tracking: TrackingConfig,
    experiment: Literal["training", "baseline"],
    name: str,
    *,
    params: Mapping[str, BaseModel | Mapping[str, Any]],
    data_hashes: Mapping[str, str],
    tags: Mapping[str, str] | None = None,
) -> Iterator[TrackedRun]:
    """Record the training of one model.

    Logged at once: every value of ``params`` as ``section.key``, each data hash as
    ``data_sha256.<artefact>``, and the commit as ``data_version`` with the tag ``dirty``. The run
    ends FINISHED, or FAILED when the block raises, or KILLED when the user stops it.

    Args:
        experiment: ``baseline`` for the models that stand beside the candidate.
        name: of the run; by habit the model's.
        params: the sections that the training reads, by name.
        data_hashes: artefact → SHA-256 (``provenance.artefact_hashes``).
        tags: anything else to find the run by.

    Raises:
        DtiError: the tracking store does not answer; before any work.
    """
    store = configure(tracking)
    hashes = {f"data_sha256.{artefact}": value for artefact, value in data_hashes.items()}
    with recorded_run(store, experiment, name, dict(params) | hashes, tags or {}) as run:
        if not tracking.system_metrics:
            yield run
            return
        with _system_metrics(store, run.run_id):
            yield run


def log_evaluation(
    tracking: TrackingConfig,
    name: str,
    model_sha256: str,
    metrics: Mapping[str, Any],
    artifacts: Iterable[Path] = (),
    params: Mapping[str, BaseModel | Mapping[str, Any]] | None = None,
    *,
    trained_elsewhere: bool = False,
) -> None:
    """Record one model's test results as a run of the evaluation experiment.

    The run carries the model's hash, and the id of the run that trained it where there is one;
    that run gets the results too, as ``test.<metric>``, so that they stand beside its parameters.

    Args:
        trained_elsewhere: on other data, so that these are not the results of its training.

    Raises:
        DtiError: the tracking store does not answer.
    """
    store = configure(tracking)
    tags = {MODEL_TAG: model_sha256}
    trained = find_training_run(store, model_sha256)
    if trained is not None:
        tags["training_run_id"] = trained
    with recorded_run(store, "evaluation", name, params or {}, tags) as run:
        run.log_metrics(metrics)
        run.log_artifacts(artifacts)
    if trained is not None and not trained_elsewhere:
        TrackedRun(store, trained).log_metrics({"test": metrics})


def flat_params(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return ``section.key`` → text for every value; lists as JSON, cut at MLflow's limit."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json")
        if isinstance(value, Mapping):
            flat |= flat_params(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            flat[name] = text[:MAX_PARAM_CHARACTERS]
    return flat


def flat_metrics(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Return name → number for every number below ``metrics``; other values are left out.

    ``{"auroc": {"value": 0.8, "low": 0.7}}`` gives ``auroc`` and ``auroc.low``.
    """
    flat: dict[str, float] = {}
    for key, value in metrics.items():
        name = prefix.removesuffix(".") if key == "value" and prefix else f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flat_metrics(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[name] = float(value)
    return flat


@contextmanager
def recorded_run(
    store: Store,
    experiment: Experiment,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
) -> Iterator[TrackedRun]:
    """Record a run with the commit and ``params``; its status follows from how the block ends."""
    experiment_id = store.experiment_id(experiment)
    _end_killed_runs(store, experiment_id)
    git = git_commit()
    if git.commit is None:
        logger.warning("%s has no git commit to record", ROOT)
    version = git.commit or UNKNOWN
    created: Run = store.client.create_run(
        experiment_id,
        run_name=name,
        tags={
            **tags,
            "data_version": version,
            "dirty": str(git.dirty).lower(),
            "mlflow.source.git.commit": version,
            "mlflow.source.name": f"{experiment}/{name}",
            "mlflow.source.type": "LOCAL",
            "process": _this_process(),
        },
    )
    run = TrackedRun(store, str(created.info.run_id))
    status = "FAILED"
    try:
        run.log_params({"data_version": version, **params})
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.end(status)


@contextmanager
def _system_metrics(store: Store, run_id: str) -> Iterator[None]:
    """Sample CPU, memory, disk and network every few seconds, from a daemon thread."""
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(
        run_id, sampling_interval=SYSTEM_METRICS_INTERVAL_S, tracking_uri=store.uri
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _end_killed_runs(store: Store, experiment_id: str) -> None:
    """Mark runs KILLED whose process on this machine is gone; SIGKILL left them RUNNING."""
    running = store.client.search_runs(
        [experiment_id], filter_string="attributes.status = 'RUNNING'", max_results=100
    )
    for run in running:
        host, _, process = run.data.tags.get("process", "").rpartition(":")
        if host == socket.gethostname() and not _alive(int(process)):
            TrackedRun(store, run.info.run_id).end("KILLED")


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
