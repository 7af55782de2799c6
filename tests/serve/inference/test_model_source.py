"""Where the served model comes from: a folder, or the MLflow registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.inference import source as model_source
from serve.inference.scorer import Scorer
from serve.settings import load_settings
from stages.dti.artifacts.export import Export
from stages.dti.errors import DtiError, ModelError
from stages.dti.tracking.registry import register
from stages.dti.tracking.store import configure


def test_folder_is_served_as_it_is(model_folder: Path) -> None:
    settings = load_settings([], {"MODEL_PATH": str(model_folder)})
    with model_source.model_source(settings) as source:
        assert source == model_source.Source(model_folder, registered=None)


def test_folder_without_a_model(tmp_path: Path) -> None:
    settings = load_settings([], {"MODEL_PATH": str(tmp_path)})
    with (
        pytest.raises(ModelError, match=r"holds no model; run `dvc repro`"),
        model_source.model_source(settings),
    ):
        pass


@pytest.mark.slow  # sets up a database for MLflow
def test_registered_model_is_fetched_by_its_alias(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    settings = load_settings([], {"MODEL_PATH": "models:/drug_target_interaction@production"})
    store = configure(settings.tracking)
    name = "drug_target_interaction"
    export = Export.find(model_folder)
    assert export is not None
    version = register(store, name, "drugban", export, {})
    with (
        pytest.raises(
            DtiError, match=r"models:/drug_target_interaction@production cannot be fetched"
        ),
        model_source.model_source(settings),
    ):
        pass
    store.client.set_registered_model_alias(name, "production", str(version))

    with model_source.model_source(settings) as source:
        folder = source.folder
        info = Scorer.load(source).model_info
        assert (info.registered, info.version) == (f"models:/{name}/1", export.model_sha256[:12])
        for path in model_folder.rglob("*"):
            if path.is_file():
                fetched = folder / path.relative_to(model_folder)
                assert fetched.read_bytes() == path.read_bytes()
    assert not folder.exists()
