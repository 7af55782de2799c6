"""MLflow tracking against a real SQLite store, and once against a real server."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
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
from stages.dti.runtime.git import git_commit
from stages.dti.tracking import uri as uri_module
from stages.dti.tracking.registry import fetch, promote, register
from stages.dti.tracking.runs import flat_metrics, flat_params, log_evaluation, training_run
from stages.dti.tracking.store import MODEL_TAG, configure, find_training_run
from stages.dti.tracking.uri import tracking_uri
from tests.support import split_tables
from tests.support.tracking_section import tracking_at, write_empty_store

SPLIT = split_tables.config("random", seed=3)


def test_run_holds_every_parameter_hash_metric_and_artefact(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    report = tmp_path / "validation_metrics.json"
    write_json(report, {"quality_score": 100})
    folder = tmp_path / "validation"
    folder.mkdir()
    (folder / "validation.json").write_text("{}")
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.json").write_text("[1]")
    seal(model)

    with training_run(
        tracking,
        "training",
        "logistic_regression",
        params={"split": SPLIT, "model": {"name": "logistic_regression", "kernels": [3, 6]}},
        data_hashes={"splits": "ab" * 32},
        tags={"note": "first"},
    ) as run:
        run.log_epoch(0, {"val_auroc": 0.5, "val_loss": float("nan")})
        run.log_epoch(1, {"val_auroc": 0.75})
        run.log_metrics({"auroc": {"value": 0.8, "low": 0.7, "high": None}, "n": 10})
        run.log_artifacts([report, folder])
        sha256 = run.set_model(model)

    client = configure(tracking).client
    logged = client.get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert client.get_experiment(logged.info.experiment_id).name == "test_training"
    params = logged.data.params
    for key, value in SPLIT.model_dump().items():
        assert params[f"split.{key}"] == str(value)
    assert params["model.kernels"] == "[3, 6]"
    assert params["data_sha256.splits"] == "ab" * 32
    assert params["data_version"] == (git_commit().commit or "unknown")
    assert logged.data.tags["note"] == "first"
    assert logged.data.tags["dirty"] == str(git_commit().dirty).lower()
    assert logged.data.tags["mlflow.source.git.commit"] == params["data_version"]
    assert logged.data.tags["mlflow.source.name"] == "training/logistic_regression"
    assert logged.data.tags[MODEL_TAG] == sha256 == verify_folder(model)
    assert [point.value for point in client.get_metric_history(run.run_id, "val_auroc")] == [
        0.5,
        0.75,
    ]
    assert logged.data.metrics == {"val_auroc": 0.75, "auroc": 0.8, "auroc.low": 0.7, "n": 10}
    assert {item.path for item in client.list_artifacts(run.run_id)} == {
        "validation_metrics.json",
        "validation",
    }
    assert Path(tracking_uri(tracking).removeprefix("sqlite:///")).with_name("mlartifacts").is_dir()


def test_failed_run_is_marked_and_the_error_passes_through(tracking: TrackingConfig) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        training_run(tracking, "baseline", "broken", params={}, data_hashes={}) as run,
    ):
        run.log_epoch(0, {"loss": 1 / 0})
    assert configure(tracking).client.get_run(run.run_id).info.status == "FAILED"


def test_a_run_that_the_user_stops_is_killed(tracking: TrackingConfig) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        training_run(tracking, "training", "stopped", params={}, data_hashes={}) as run,
    ):
        raise KeyboardInterrupt
    assert configure(tracking).client.get_run(run.run_id).info.status == "KILLED"


def test_a_run_of_another_machine_is_left_alone(tracking: TrackingConfig) -> None:
    store = configure(tracking)
    elsewhere = store.client.create_run(
        store.experiment_id("training"), tags={"process": "another.machine:999999999"}
    )
    with training_run(tracking, "training", "here", params={}, data_hashes={}):
        assert store.client.get_run(elsewhere.info.run_id).info.status == "RUNNING"


def test_more_parameters_than_one_call_takes(tracking: TrackingConfig) -> None:
    many = {f"p{number}": number for number in range(250)}
    with training_run(tracking, "training", "many", params={"m": many}, data_hashes={}) as run:
        pass
    params = configure(tracking).client.get_run(run.run_id).data.params
    assert {f"m.p{number}": str(number) for number in range(250)}.items() <= params.items()


def test_the_newest_run_that_made_a_model_is_found(tracking: TrackingConfig) -> None:
    store, sha256 = configure(tracking), "e" * 64
    for start_ms in (2_000, 3_000, 1_000):
        newest = store.client.create_run(
            store.experiment_id("training"), start_time=start_ms, tags={MODEL_TAG: sha256}
        )
        if start_ms == 3_000:
            expected = newest.info.run_id
    assert find_training_run(store, sha256) == expected


def test_a_folder_and_the_artefacts_of_an_evaluation(
    tracking: TrackingConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "strata.json").write_text("{}")
    log_evaluation(tracking, "m", "f" * 64, {"auroc": 0.9}, [folder])
    store = configure(tracking)
    [run] = store.client.search_runs(
        [store.experiment_id("evaluation")], filter_string=f"tags.{MODEL_TAG} = '{'f' * 64}'"
    )
    listed = store.client.list_artifacts(run.info.run_id, "evaluation")
    assert [item.path for item in listed] == ["evaluation/strata.json"]
    with training_run(tracking, "training", "m", params={}, data_hashes={}) as below:
        below.log_artifact(folder, "reports")
    listed = store.client.list_artifacts(below.run_id, "reports/evaluation")
    assert [item.path for item in listed] == ["reports/evaluation/strata.json"]


def test_evaluation_names_the_run_that_trained_the_model(tracking: TrackingConfig) -> None:
    sha256 = "c" * 64
    with training_run(tracking, "training", "m", params={}, data_hashes={}) as run:
        run.set_tag(MODEL_TAG, sha256)
    log_evaluation(tracking, "m", sha256, {"auroc": {"value": 0.9}})

    store = configure(tracking)
    assert find_training_run(store, sha256) == run.run_id
    [evaluation] = store.client.search_runs(
        [store.experiment_id("evaluation")], filter_string=f"tags.{MODEL_TAG} = '{sha256}'"
    )
    assert evaluation.data.tags["training_run_id"] == run.run_id
    assert evaluation.data.metrics == {"auroc": 0.9}


def test_test_metrics_stand_with_the_run_that_trained(tracking: TrackingConfig) -> None:
    sha256 = "d" * 64
    with training_run(tracking, "baseline", "m", params={}, data_hashes={}) as run:
        run.log_metrics({"val_auroc": 0.8})
        run.set_tag(MODEL_TAG, sha256)
    log_evaluation(tracking, "m", sha256, {"auroc": {"value": 0.9, "low": 0.85}, "n": 40})
    trained = configure(tracking).client.get_run(run.run_id)
    assert trained.data.metrics == {
        "val_auroc": 0.8,
        "test.auroc": 0.9,
        "test.auroc.low": 0.85,
        "test.n": 40,
    }
    assert trained.info.status == "FINISHED"


def test_run_of_a_killed_process_does_not_stay_running(tracking: TrackingConfig) -> None:
    script = (
        "import os, signal\n"
        "from stages.dti.config.tracking import TrackingConfig\n"
        "from stages.dti.tracking.runs import training_run\n"
        f"tracking = TrackingConfig(**{tracking.model_dump()!r})\n"
        "with training_run(tracking, 'training', 'killed', params={}, data_hashes={}) as run:\n"
        "    print(run.run_id, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run_id = killed.stdout.strip()
    client = configure(tracking).client
    assert client.get_run(run_id).info.status == "RUNNING"

    with training_run(tracking, "training", "next", params={}, data_hashes={}) as run:
        assert client.get_run(run_id).info.status == "KILLED"
        assert client.get_run(run.run_id).info.status == "RUNNING"


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


def test_store_that_fails_in_the_middle_costs_records_not_the_work(
    tracking: TrackingConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with training_run(tracking, "training", "m", params={}, data_hashes={}) as run:
        run.log_artifact(tmp_path / "missing.json")
    assert "did not take" in caplog.text
    assert "missing.json" in caplog.text
    assert configure(tracking).client.get_run(run.run_id).info.status == "FINISHED"


def test_system_metrics_do_not_hold_up_a_short_stage(tracking: TrackingConfig) -> None:
    measured = tracking_at(tracking.uri, system_metrics=True)
    with training_run(measured, "training", "short", params={}, data_hashes={}):
        names = [thread.name for thread in threading.enumerate()]
        assert "SystemMetricsMonitor" in names
    assert "SystemMetricsMonitor" not in [thread.name for thread in threading.enumerate()]


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


def test_flat_names() -> None:
    assert flat_params({"a": {"b": 1, "c": {"d": None}}, "e": "x"}) == {
        "a.b": "1",
        "a.c.d": "null",
        "e": "x",
    }
    assert len(flat_params({"long": "x" * 10_000})["long"]) == 6000
    assert flat_metrics({"model": "m", "ok": True, "f1": {"value": 1, "low": None}}) == {"f1": 1.0}
    assert flat_metrics({"value": 2}) == {"value": 2.0}


def test_importing_the_module_imports_no_mlflow() -> None:
    code = "import sys, stages.dti.tracking.runs; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
