"""Where MLflow keeps its records: SQLite files, a real server, and what is refused."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from stages.dti.artifacts.export import Export
from stages.dti.artifacts.model_files import seal, verify_folder
from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import DtiError
from stages.dti.files import write_json
from stages.dti.tracking import uri as uri_module
from stages.dti.tracking.registry import fetch, promote, register
from stages.dti.tracking.runs import training_run
from stages.dti.tracking.store import configure, find_training_run
from stages.dti.tracking.uri import tracking_uri
from tests.support import split_tables
from tests.support.tracking_section import tracking_at, write_empty_store

SPLIT = split_tables.config("random", seed=3)


@pytest.mark.slow
def test_two_processes_may_make_the_store_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking = tracking_at(f"sqlite:///{tmp_path}/mlflow.db")
    script = (
        "from stages.dti.config.tracking import TrackingConfig\n"
        "from stages.dti.tracking.runs import training_run\n"
        f"tracking = TrackingConfig(**{tracking.model_dump()!r})\n"
        "with training_run(tracking, 'training', 'm', params={}, data_hashes={}) as run:\n"
        "    run.log_epoch(0, {'loss': 1.0})\n"
    )
    command = [sys.executable, "-c", script]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    store = configure(tracking)
    assert len(store.client.search_runs([store.experiment_id("training")])) == 2


def test_environment_variable_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///here.db")
    assert tracking_uri(tracking_at("http://elsewhere:5000")) == f"sqlite:///{tmp_path}/here.db"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking_uri(tracking_at("http://elsewhere:5000/")) == "http://elsewhere:5000"
    for uri in (
        "postgresql://host/mlflow",
        "mysql+pymysql://host/mlflow",
        "sqlite:////a.db?mode=ro",
    ):
        assert tracking_uri(tracking_at(uri)) == uri


def test_mlflow_is_told_to_report_nothing(
    tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    configure(tracking)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_relative_sqlite_path_is_below_the_repository_even_from_a_queued_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(uri_module, "ROOT", tmp_path)
    assert tracking_uri(tracking_at("sqlite:///mlflow.db")) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setattr(uri_module, "ROOT", tmp_path / ".dvc/tmp/exps/standalone/tmpabc")
    assert tracking_uri(tracking_at("sqlite:///mlflow.db")) == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("./mlruns", "file path"),
        ("file:///srv/mlruns", "file path"),
        ("ftp://host/mlruns", "unknown kind"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("http://", "names no server"),
        ("http://host:99999", "names no server"),
    ],
)
def test_store_without_a_registry_is_refused_with_one_that_works(
    uri: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValidationError, match=reason):
        tracking_at(uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(DtiError, match=f"MLFLOW_TRACKING_URI: .*{reason}") as caught:
        configure(tracking_at("sqlite:///mlflow.db"))
    assert "sqlite:///mlflow.db" in str(caught.value)


def test_server_that_does_not_answer_is_named_without_its_password(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(DtiError, match="cannot be used") as caught:
        configure(tracking_at(f"http://user:secret@127.0.0.1:{free_port}"))
    message = str(caught.value)
    assert f"127.0.0.1:{free_port}" in message
    assert "secret" not in message
    assert "MLFLOW_TRACKING_URI=sqlite:///mlflow.db" in message


def test_file_that_is_no_database_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    broken = tmp_path / "mlflow.db"
    broken.write_text("not a database " * 100)
    with pytest.raises(DtiError, match="cannot be used"):
        configure(tracking_at(f"sqlite:///{broken}"))
    assert broken.read_text().startswith("not a database")


def test_a_locked_database_says_who_holds_it_and_advises_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_empty_store(tmp_path / "mlflow.db")
    # SQLite waits for the lock for so many seconds, and MLflow then tries again and again.
    tracking = tracking_at(f"sqlite:///{tmp_path}/mlflow.db?timeout=0.1")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DtiError, match="database is locked") as caught:
            configure(tracking)
    message = str(caught.value)
    assert "another process is writing to it" in message
    assert f"fuser {tmp_path}/mlflow.db" in message
    assert "MLFLOW_TRACKING_URI" not in message
    configure(tracking)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path, free_port: int) -> Iterator[str]:
    """A real MLflow server on the loopback interface, stopped with its workers at the end."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(free_port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    environment = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        said = ""
        for line in process.stderr:
            said += line
            if "Uvicorn running on" in line:
                break
        else:
            pytest.fail(f"the MLflow server ended: {said}")
        yield f"http://127.0.0.1:{free_port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.mark.slow
def test_the_same_against_a_server(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    tracking = tracking_at("sqlite:///unused.db", system_metrics=True)
    artefact = tmp_path / "report.json"
    write_json(artefact, {})
    with training_run(tracking, "training", "m", params={"split": SPLIT}, data_hashes={}) as run:
        run.log_epoch(0, {"loss": 1.0})
        run.log_artifact(artefact, "reports")
    store = configure(tracking)
    logged = store.client.get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["loss"] == 1.0
    assert [item.path for item in store.client.list_artifacts(run.run_id, "reports")] == [
        "reports/report.json"
    ]
    assert find_training_run(store, "0" * 64) is None

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text("{}")
    (folder / "weights.json").write_text("[1]")
    seal(folder)
    export = Export(folder, verify_folder(folder))
    number = register(store, "task", "m", export, {"auroc": 0.8})
    assert promote(store, "task", number, "production", {"summary": "m passes the gate."}, None)
    fetched = fetch(store, "models:/task@production", tmp_path / "fetched").export
    assert (fetched.folder / "weights.json").read_text() == "[1]"
