"""The MLflow registry, on a real SQLite store with plain files in the place of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import ModelError
from stages.dti.lifecycle.registry import (
    add_file,
    aliased_version,
    fetch,
    find_version,
    promote,
    register,
)
from stages.dti.lifecycle.tracking import training_run
from stages.dti.lifecycle.tracking_store import Store, configure
from stages.dti.model_files import seal, verify_folder

METRICS = {"auroc": {"value": 0.8, "low": 0.7, "high": 0.9}}
DECISION = {"verdict": "promoted", "summary": "m is promoted."}


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    folder = tmp_path_factory.mktemp("mlflow")
    return TrackingConfig(
        uri=f"sqlite:///{folder}/mlflow.db",
        experiment_prefix="test",
        registered_model="unused",
        system_metrics=False,
    )


@pytest.fixture
def store(tracking: TrackingConfig, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return configure(tracking)


def folder_with(path: Path, weights: str) -> tuple[Path, str]:
    (path / "reference").mkdir(parents=True)
    (path / "weights.json").write_text(weights)
    (path / "reference/pairs.json").write_text("[]")
    seal(path)
    return path, verify_folder(path)


def test_same_model_is_registered_once_and_comes_back_as_it_was(
    store: Store, tmp_path: Path
) -> None:
    folder, sha256 = folder_with(tmp_path / "one", "[1]")
    assert find_version(store, "Once", sha256) is None
    assert register(store, "Once", folder, sha256, METRICS) == 1
    assert register(store, "Once", folder, sha256, METRICS) == 1
    assert find_version(store, "Once", sha256) == 1

    other, other_sha256 = folder_with(tmp_path / "two", "[2]")
    assert register(store, "Once", other, other_sha256, METRICS) == 2

    extra = tmp_path / "version.json"
    extra.write_text("{}")
    add_file(store, "Once", 1, extra)
    target = tmp_path / "fetched"
    target.mkdir()
    fetched = fetch(store, "models:/Once/1", target)
    files = {p.relative_to(fetched).as_posix() for p in fetched.rglob("*") if p.is_file()}
    assert files == {
        "MLmodel",
        "files.json",
        "reference/pairs.json",
        "version.json",
        "weights.json",
    }
    assert (fetched / "weights.json").read_text() == "[1]"


def test_version_names_the_run_that_trained_it(
    store: Store, tracking: TrackingConfig, tmp_path: Path
) -> None:
    folder, sha256 = folder_with(tmp_path / "one", "[3]")
    with training_run(tracking, "training", "m", params={}, data_hashes={}) as run:
        assert run.set_model(folder) == sha256
    version = store.client.get_model_version(
        "Trained", str(register(store, "Trained", folder, sha256, METRICS))
    )
    assert version.tags["training_run_id"] == run.run_id
    registered = store.client.get_run(version.run_id)
    assert registered.data.metrics["auroc"] == 0.8
    assert store.client.get_experiment(registered.info.experiment_id).name == "test_production"


def test_promotions_move_the_alias_and_stay_on_record(store: Store, tmp_path: Path) -> None:
    name = "Promoted"
    first = register(store, name, *folder_with(tmp_path / "one", "[4]"), METRICS)
    second = register(store, name, *folder_with(tmp_path / "two", "[5]"), METRICS)
    assert aliased_version(store, name, "production") is None

    def to_production(number: int) -> bool:
        version = {"registered_model": name, "version": number, "model_sha256": "0" * 64}
        return promote(store, version | {"previous": None}, "production", DECISION)

    assert to_production(first)
    assert not to_production(first)
    assert to_production(second)
    assert to_production(first)

    assert aliased_version(store, name, "production") == first
    tags = store.client.get_model_version(name, str(first)).tags
    assert tags["previous_version"] == str(second)
    assert tags["decision"] == DECISION["summary"]
    assert int(tags["promoted_unix_s"]) > 0
    runs = store.client.search_runs(
        [store.experiment_id("production")],
        filter_string="params.alias = 'production'",
        order_by=["attributes.start_time ASC"],
    )
    history = [(run.data.params["previous_version"], run.data.params["version"]) for run in runs]
    assert history == [("none", "1"), ("1", "2"), ("2", "1")]
    record = Path(
        store.client.download_artifacts(runs[0].info.run_id, "decision.json", str(tmp_path))
    )
    assert json.loads(record.read_text()) == DECISION


def test_alias_that_is_not_there_is_an_error_that_names_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="models:/Nothing@production"):
        fetch(store, "models:/Nothing@production", tmp_path)
    assert aliased_version(store, "Nothing", "production") is None
    with pytest.raises(ModelError, match="not of the form"):
        fetch(store, "models:/Nothing/production", tmp_path)
