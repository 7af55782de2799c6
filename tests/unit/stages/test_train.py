"""The train and baselines stages on real pairs, with cheap models and MLflow in SQLite."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run

from stages import baselines
from stages.dti.artifacts.model_files import verify_folder
from stages.dti.config.base import build
from stages.dti.config.model import BaselinesConfig
from stages.dti.errors import ConfigError, DataError
from stages.dti.hashing import file_sha256, folder_sha256
from stages.dti.paths import (
    BASELINES,
    CANDIDATE,
    FEATURES,
    INTERACTIONS,
    SPLITS,
    TRAINING_CURVES,
    TRAINING_METRICS,
    Paths,
)
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair
from stages.dti.tracking.store import Experiment, configure
from tests.support.prepared_tables import (
    DEFAULTS,
)
from tests.support.train_stage import COMMON, start_train, tracking, write_inputs


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_inputs(tmp_path)
    return tmp_path


def test_train_writes_a_model_that_predicts_and_says_what_it_was_made_from(root: Path) -> None:
    start_train(root, DEFAULTS["baselines"]["gradient_boosting"] | {"trees": 30})
    facts = json.loads((root / CANDIDATE / "model.json").read_text())
    assert facts["name"] == "gradient_boosting"
    assert facts["dataset"] == "kiba_sample"
    assert facts["data_sha256"] == {
        INTERACTIONS.as_posix(): file_sha256(root / INTERACTIONS),
        SPLITS.as_posix(): file_sha256(root / SPLITS),
        FEATURES.as_posix(): folder_sha256(root / FEATURES),
    }
    metrics = json.loads((root / TRAINING_METRICS).read_text())
    assert metrics["model"] == "gradient_boosting"
    assert 0.5 < metrics["val_auroc"] <= 1
    assert set(metrics) == {"model", "epochs", "best_epoch", "val_pairs", "val_auroc", "val_auprc"}
    curve = pd.read_csv(root / TRAINING_CURVES / "auroc.csv")
    assert curve["member"].unique().tolist() == ["gradient_boosting"]
    assert curve["epoch"].max() + 1 == metrics["epochs"]
    assert metrics["best_epoch"] == curve["epoch"][curve["value"].idxmax()]

    predictor = Predictor.load(root / CANDIDATE)
    (known,) = predictor.content.reference.targets["target_id"][:1]
    (answer,) = predictor.predict([Pair("CC(=O)OC1=CC=CC=C1C(=O)O", target_id=known)])
    assert answer.status == "ok"
    assert answer.known_target_id == known

    database = sqlite3.connect(root / "mlflow.db")
    params = dict(database.execute("select key, value from params").fetchall())
    assert params["model.name"] == "gradient_boosting"
    assert params[f"data_sha256.{SPLITS.as_posix()}"] == file_sha256(root / SPLITS)
    assert "data_version" in params
    assert database.execute("select status from runs").fetchall() == [("FINISHED",)]
    tags = dict(database.execute("select key, value from tags").fetchall())
    assert tags["model_sha256"] == verify_folder(root / CANDIDATE)
    assert tags["dataset"] == "kiba_sample"

    (logged,) = runs_of(root, "training")
    assert logged.data.metrics["val_auprc"] == metrics["val_auprc"]
    assert logged.data.params["trainer.monitor"] == DEFAULTS["trainer"]["monitor"]


def test_the_fits_of_an_ensemble_are_reported_one_by_one(root: Path) -> None:
    boosted = DEFAULTS["baselines"]["gradient_boosting"] | {"trees": 20}
    linear = DEFAULTS["baselines"]["logistic_regression"]
    ensemble = {
        "name": "ensemble",
        "combine": "mean",
        "inverse_regularisation": 1.0,
        "members": {
            "boosted": {"config": boosted, "seeds": 2, "snapshots": 1},
            "linear": {"config": linear, "seeds": 1, "snapshots": 1},
        },
    }
    start_train(root, ensemble)
    metrics = json.loads((root / TRAINING_METRICS).read_text())
    assert set(metrics) == {"model", "members", "val_pairs", "val_auroc", "val_auprc"}
    assert set(metrics["members"]["boosted"]) == {"0", "1"}
    assert metrics["members"]["linear"] == {"0": {"epochs": 0, "best_epoch": None}}
    curve = pd.read_csv(root / TRAINING_CURVES / "auroc.csv")
    assert set(curve["member"]) == {"boosted"}
    logged = sqlite3.connect(root / "mlflow.db").execute("select key, step, value from metrics")
    steps = {(key, step): value for key, step, value in logged}
    for number, of_fit in curve.groupby("fit"):
        fit = metrics["members"]["boosted"][str(number)]
        assert 10 <= fit["epochs"] <= 20
        assert fit["best_epoch"] == of_fit["epoch"][of_fit["value"].idxmax()]
        for row in of_fit.itertuples():
            recorded = steps[f"members.boosted.{number}.val_auroc", row.epoch]
            assert recorded == pytest.approx(row.value, abs=1e-6)
    assert not any(key.startswith("val_auroc") and step for key, step in steps)


def test_the_test_part_leaves_no_trace_in_the_model(root: Path) -> None:
    """Other labels on the test pairs give the same model, but for the hash of the table."""
    model = DEFAULTS["baselines"]["logistic_regression"]
    start_train(root, model)
    before = (root / CANDIDATE / "weights.safetensors").read_bytes()
    calibration = (root / CANDIDATE / "calibration.json").read_text()
    table, splits = pd.read_parquet(root / INTERACTIONS), pd.read_parquet(root / SPLITS)
    test = (splits["split"] == "test").to_numpy()
    table.loc[test, "label"] = 1 - table.loc[test, "label"]
    table.to_parquet(root / INTERACTIONS, index=False)
    start_train(root, model)
    assert (root / CANDIDATE / "weights.safetensors").read_bytes() == before
    assert (root / CANDIDATE / "calibration.json").read_text() == calibration


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_part_of_one_class_is_refused_before_any_output(root: Path, part: str) -> None:
    table, splits = pd.read_parquet(root / INTERACTIONS), pd.read_parquet(root / SPLITS)
    table.loc[(splits["split"] == part).to_numpy(), "label"] = 0
    table.to_parquet(root / INTERACTIONS, index=False)
    with pytest.raises(DataError, match=f"the {part} part holds .* 1 class"):
        start_train(root, DEFAULTS["baselines"]["base_rate"])
    assert not (root / CANDIDATE).exists()


def test_baselines_writes_one_folder_each(root: Path) -> None:
    chosen = {name: DEFAULTS["baselines"][name] for name in ("base_rate", "similarity_vote")}
    baselines.run(
        Paths(root, root),
        baselines=build(BaselinesConfig, chosen, "baselines"),
        tracking=tracking(root),
        **COMMON,
    )
    assert {path.name for path in (root / BASELINES).iterdir()} == set(chosen)
    assert Predictor.load(root / BASELINES / "similarity_vote").info.name == "similarity_vote"

    logged = {run.info.run_name: run.data for run in runs_of(root, "baseline")}
    assert set(logged) == set(chosen)
    assert runs_of(root, "training") == []
    for name, data in logged.items():
        assert data.tags["model_sha256"] == verify_folder(root / BASELINES / name)
        assert data.tags["dataset"] == "kiba_sample"
        assert data.params["model.name"] == name
        assert data.params["reproducibility.threads"] == "1"
        assert data.params[f"data_sha256.{SPLITS.as_posix()}"] == file_sha256(root / SPLITS)
        measured = Predictor.load(root / BASELINES / name).content.validation_metrics.plain()
        assert {key: data.metrics[key] for key in measured} == measured


def runs_of(root: Path, experiment: Experiment) -> list[Run]:
    """Return the runs of one of the four experiments."""
    store = configure(tracking(root))
    return list(store.client.search_runs([store.experiment_id(experiment)]))


def test_a_neural_model_is_no_baseline(root: Path) -> None:
    with pytest.raises(ConfigError, match="drugban is no classical model"):
        baselines.run(
            Paths(root, root),
            baselines=build(BaselinesConfig, {"deep": DEFAULTS["model"]}, "baselines"),
            tracking=tracking(root),
            **COMMON,
        )
    assert not (root / BASELINES).exists()
