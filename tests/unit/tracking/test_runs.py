"""Runs in a real SQLite store: what they hold, and how they end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stages.dti.artifacts.model_files import seal, verify_folder
from stages.dti.config.tracking import TrackingConfig
from stages.dti.files import write_json
from stages.dti.runtime.git import git_commit
from stages.dti.tracking.runs import flat_metrics, flat_params, log_evaluation, training_run
from stages.dti.tracking.store import MODEL_TAG, configure, find_training_run
from stages.dti.tracking.uri import tracking_uri
from tests.support import split_tables
from tests.support.tracking_section import tracking_at

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
