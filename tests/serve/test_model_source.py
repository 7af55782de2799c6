"""Where the served model comes from: a folder, or the MLflow registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve import model_source
from serve.settings import load_settings
from stages.dti.errors import DtiError, ModelError
from stages.dti.lifecycle.registry import register
from stages.dti.lifecycle.tracking_store import configure


def test_folder_is_served_as_it_is(model_folder: Path) -> None:
    settings = load_settings([], {"MODEL_PATH": str(model_folder)})
    with model_source.model_folder(settings) as folder:
        assert folder == model_folder


def test_folder_without_a_model(tmp_path: Path) -> None:
    settings = load_settings([], {"MODEL_PATH": str(tmp_path)})
    with (
        pytest.raises(ModelError, match=r"holds no model; run `dvc repro`"),
        model_source.model_folder(settings),
    ):
        pass


@pytest.mark.slow  # sets up a database for MLflow
def test_registered_model_is_fetched_by_its_alias(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    settings = load_settings([], {"MODEL_PATH": "models:/DrugBAN@production"})
    store = configure(settings.tracking)
    version = register(store, "DrugBAN", model_folder, "ab" * 32, {})
    with (
        pytest.raises(DtiError, match=r"models:/DrugBAN@production cannot be fetched"),
        model_source.model_folder(settings),
    ):
        pass
    store.client.set_registered_model_alias("DrugBAN", "production", str(version))

    with model_source.model_folder(settings) as folder:
        for path in model_folder.rglob("*"):
            if path.is_file():
                fetched = folder / path.relative_to(model_folder)
                assert fetched.read_bytes() == path.read_bytes()
    assert not folder.exists()
