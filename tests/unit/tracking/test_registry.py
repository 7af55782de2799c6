"""The MLflow registry, on a real SQLite store with plain files in the place of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.dti.artifacts.export import Export
from stages.dti.artifacts.model_files import seal, verify_folder
from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import ModelError
from stages.dti.tracking.registry import (
    add_file,
    aliased_version,
    fetch,
    fetch_by_hash,
    find_version,
    promote,
    register,
    set_alias,
)
from stages.dti.tracking.runs import training_run
from stages.dti.tracking.store import Store, configure

METRICS = {"auroc": {"value": 0.8, "low": 0.7, "high": 0.9}}
DECISION = {"verdict": "passed", "summary": "m passes the gate."}


@pytest.fixture
def store(tracking: TrackingConfig) -> Store:
    return configure(tracking)


def folder_with(path: Path, weights: str) -> Export:
    (path / "reference").mkdir(parents=True)
    (path / "model.json").write_text("{}")
    (path / "weights.json").write_text(weights)
    (path / "reference/pairs.json").write_text("[]")
    seal(path)
    return Export(path, verify_folder(path))


def test_same_model_is_registered_once_and_comes_back_as_it_was(
    store: Store, tmp_path: Path
) -> None:
    one = folder_with(tmp_path / "one", "[1]")
    assert find_version(store, "Once", one.model_sha256) is None
    assert register(store, "Once", "m", one, METRICS) == 1
    assert register(store, "Once", "m", one, METRICS) == 1
    assert find_version(store, "Once", one.model_sha256) == 1
    assert store.client.get_model_version("Once", "1").tags["model"] == "m"

    other = folder_with(tmp_path / "two", "[2]")
    assert register(store, "Once", "n", other, METRICS) == 2
    assert find_version(store, "Once", one.model_sha256) == 1

    extra = tmp_path / "version.json"
    extra.write_text("{}")
    add_file(store, "Once", 1, extra)
    target = tmp_path / "fetched"
    target.mkdir()
    fetched = fetch(store, "models:/Once/1", target)
    folder = fetched.export.folder
    assert (fetched.uri, fetched.export.model_sha256) == ("models:/Once/1", one.model_sha256)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {
        "MLmodel",
        "files.json",
        "model.json",
        "reference/pairs.json",
        "version.json",
        "weights.json",
    }
    assert (folder / "weights.json").read_text() == "[1]"


def test_version_names_the_run_that_trained_it(
    store: Store, tracking: TrackingConfig, tmp_path: Path
) -> None:
    export = folder_with(tmp_path / "one", "[3]")
    with training_run(tracking, "training", "m", params={}, data_hashes={}) as run:
        assert run.set_model(export.folder) == export.model_sha256
    version = store.client.get_model_version(
        "Trained", str(register(store, "Trained", "m", export, METRICS))
    )
    assert version.tags["training_run_id"] == run.run_id
    registered = store.client.get_run(version.run_id)
    assert registered.data.metrics["auroc"] == 0.8
    assert store.client.get_experiment(registered.info.experiment_id).name == "test_production"


def test_promotions_move_the_alias_and_stay_on_record(store: Store, tmp_path: Path) -> None:
    name = "Promoted"
    one, two = (folder_with(tmp_path / weights, weights) for weights in ("[4]", "[5]"))
    first = register(store, name, "m", one, METRICS)
    second = register(store, name, "m", two, METRICS)
    assert aliased_version(store, name, "production") is None

    def to_production(number: int) -> bool:
        return promote(store, name, number, "production", DECISION, None)

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
    assert [run.data.tags["model_sha256"] for run in runs] == [
        one.model_sha256,
        two.model_sha256,
        one.model_sha256,
    ]
    record = Path(
        store.client.download_artifacts(runs[0].info.run_id, "decision.json", str(tmp_path))
    )
    assert json.loads(record.read_text()) == DECISION


def test_a_new_registry_is_told_the_version_before(store: Store, tmp_path: Path) -> None:
    version = register(store, "New", "m", folder_with(tmp_path / "one", "[6]"), METRICS)
    assert promote(store, "New", version, "production", DECISION, 7)
    tags = store.client.get_model_version("New", str(version)).tags
    assert tags["previous_version"] == "7"


def test_an_alias_is_set_once(store: Store, tmp_path: Path) -> None:
    version = register(store, "Alias", "m", folder_with(tmp_path / "one", "[7]"), METRICS)
    assert set_alias(store, "Alias", "challenger", version)
    assert not set_alias(store, "Alias", "challenger", version)
    assert aliased_version(store, "Alias", "challenger") == version


def test_alias_that_is_not_there_is_an_error_that_names_it(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="models:/Nothing@production"):
        fetch(store, "models:/Nothing@production", tmp_path)
    assert aliased_version(store, "Nothing", "production") is None
    with pytest.raises(ModelError, match="not of the form"):
        fetch(store, "models:/Nothing/production", tmp_path)
    assert fetch_by_hash(store, "Nothing", "0" * 64, tmp_path) is None


def test_files_that_were_altered_in_the_registry_are_refused(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export = folder_with(tmp_path / "one", "[8]")
    version = register(store, "Altered", "m", export, METRICS)
    target = tmp_path / "fetched"
    target.mkdir()
    assert fetch_by_hash(store, "Altered", export.model_sha256, target) is not None
    weights = tmp_path / "weights.json"
    weights.write_text("[9]")
    add_file(store, "Altered", version, weights)
    with pytest.raises(ModelError, match="their hash is another"):
        fetch(store, f"models:/Altered/{version}", target)
    assert fetch_by_hash(store, "Altered", export.model_sha256, target) is None
    assert "their hash is another" in caplog.text
