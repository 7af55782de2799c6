"""Inputs that the stage refuses, writing nothing, and test pairs too few to measure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.dti.config.base import build
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import ConfigError, DataError, DtiError, ModelError
from stages.dti.paths import (
    BASELINES,
    CANDIDATE,
    DRUGS,
    EVALUATION_PLOTS,
    INTERACTIONS,
    METRICS,
    SPLITS,
    Paths,
)
from stages.evaluate import run
from tests.support.evaluated_models import EVALUATE
from tests.support.written_files import files_below


@pytest.fixture
def changed(evaluate_inputs: Path, tmp_path: Path) -> Path:
    """A copy of the inputs that a test may damage."""
    return Path(shutil.copytree(evaluate_inputs, tmp_path / "changed"))


def rewrite(root: Path, artefact: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_parquet(root / artefact)).to_parquet(root / artefact, index=False)


def no_test_pairs(root: Path) -> None:
    rewrite(root, SPLITS, lambda table: table.assign(split="train"))


def lost_drug(root: Path) -> None:
    rewrite(root, DRUGS, lambda table: table.iloc[1:])


def broken_smiles(root: Path) -> None:
    rewrite(root, DRUGS, lambda table: table.assign(smiles=["C1CC", *table["smiles"][1:]]))


def baseline_called_candidate(root: Path) -> None:
    (root / BASELINES / "base_rate").rename(root / BASELINES / "candidate")


def incomplete_candidate(root: Path) -> None:
    (root / CANDIDATE / "calibration.json").unlink()


def no_baselines(root: Path) -> None:
    shutil.rmtree(root / BASELINES)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (no_test_pairs, DataError, "no test pairs"),
        (lost_drug, DataError, "run `dvc repro split`"),
        (broken_smiles, DataError, "refuses .* test pairs"),
        (baseline_called_candidate, ModelError, "rename it in the section `baselines`"),
        (incomplete_candidate, ModelError, r"calibration\.json, .* is missing"),
        (no_baselines, DataError, "models/baselines does not exist"),
    ],
)
def test_damaged_inputs_are_an_error_and_nothing_is_written(
    damage: Callable[[Path], None],
    error: type[DtiError],
    message: str,
    changed: Path,
    tracking: TrackingConfig,
    tmp_path: Path,
) -> None:
    damage(changed)
    with pytest.raises(error, match=message):
        run(Paths(inputs=changed, outputs=tmp_path / "out"), evaluate=EVALUATE, tracking=tracking)
    assert files_below(tmp_path / "out") == {}


def test_an_unusable_tracking_store_is_found_out_before_the_work(
    evaluate_inputs: Path, tracking: TrackingConfig, tmp_path: Path
) -> None:
    nowhere = tracking.model_copy(update={"uri": "mlruns"})
    with pytest.raises(DtiError, match="no model registry"):
        run(Paths(inputs=evaluate_inputs, outputs=tmp_path), evaluate=EVALUATE, tracking=nowhere)
    assert files_below(tmp_path) == {}


def test_two_test_pairs_of_one_class_have_values_but_no_intervals(
    changed: Path, tracking: TrackingConfig, tmp_path: Path
) -> None:
    labels = pd.read_parquet(changed / INTERACTIONS)["label"]
    kept = labels.index[labels == 0][:2]
    rewrite(
        changed,
        SPLITS,
        lambda table: table.assign(split=np.where(table.index.isin(kept), "test", "train")),
    )
    out = tmp_path / "out"
    run(Paths(inputs=changed, outputs=out), evaluate=EVALUATE, tracking=tracking)
    made = json.loads((out / METRICS).read_text())["candidate"]
    assert made["n"] == 2
    assert made["auroc"]["value"] is None
    assert made["auroc"]["reason"] == "the pairs hold one class"
    assert made["brier"]["value"] is not None
    assert made["brier"]["low"] is None
    assert pd.read_csv(out / EVALUATION_PLOTS / "roc.csv").empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"similarity_edges": [0.0, 0.5, 0.4, 1.0]}, "must increase"),
        ({"similarity_edges": [0.1, 1.0]}, "begin at 0 and end at 1"),
        ({"similarity_edges": [0.0, 0.9]}, "begin at 0 and end at 1"),
        ({"bootstrap_samples": 10}, "bootstrap_samples"),
        ({"confidence": 1.0}, "confidence"),
        ({"calibration_bins": 1}, "calibration_bins"),
        ({"bootstrap_sample": 100}, "did you mean 'bootstrap_samples'"),
    ],
)
def test_a_wrong_section_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(EvaluateConfig, EVALUATE.model_dump() | change, "evaluate")
