"""Schemas: what was written is read and written again as it was; anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.dti.artifacts.base import Artifact
from stages.dti.artifacts.decision import Decision
from stages.dti.artifacts.evaluation import Applicability, Robustness, Strata
from stages.dti.artifacts.featurize import FeaturizeMetrics
from stages.dti.artifacts.leakage import Leakage
from stages.dti.artifacts.measured import Measure
from stages.dti.artifacts.metrics import Metrics
from stages.dti.artifacts.model import Golden, ModelCalibration, ModelFacts, Version
from stages.dti.artifacts.model_files import FILES, FileList
from stages.dti.artifacts.prepare import PrepareMetrics
from stages.dti.artifacts.production import Production
from stages.dti.artifacts.screening import ScreeningMetrics
from stages.dti.artifacts.training import Steps, Training
from stages.dti.artifacts.validation import Validation, ValidationMetrics
from stages.dti.errors import DamagedModelError, DataError
from stages.dti.files import write_json
from stages.dti.paths import (
    CANDIDATE,
    DECISION,
    EVALUATION,
    FEATURIZE_METRICS,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PRODUCTION,
    PROMOTED,
    ROOT,
    SCREENING_METRICS,
    TRAINING_METRICS,
    VALIDATION,
    VALIDATION_METRICS,
)
from tests.support.promotion_repository import Repository

COMMITTED: dict[Path, type[Artifact]] = {
    METRICS: Metrics,
    DECISION: Decision,
    TRAINING_METRICS: Training,
    PREPARE_METRICS: PrepareMetrics,
    VALIDATION_METRICS: ValidationMetrics,
    LEAKAGE: Leakage,
    FEATURIZE_METRICS: FeaturizeMetrics,
    SCREENING_METRICS: ScreeningMetrics,
    PRODUCTION: Production,
}
"""In git."""

WRITTEN_BY_EVALUATE: dict[Path, type[Artifact]] = {
    VALIDATION / "validation.json": Validation,
    EVALUATION / "strata.json": Strata,
    EVALUATION / "applicability.json": Applicability,
    EVALUATION / "robustness.json": Robustness,
}
"""Outputs of the pipeline that are not in git; here of stages run on a small data set."""

OF_A_MODEL: dict[str, type[Artifact]] = {
    "model.json": ModelFacts,
    "calibration.json": ModelCalibration,
    FILES: FileList,
}
OF_AN_EXPORT: dict[str, type[Artifact]] = {
    "golden.json": Golden,
    "version.json": Version,
    "metrics.json": Metrics,
}


def same_bytes(kind: type[Artifact], path: Path) -> bool:
    return kind.read(path).text() == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", COMMITTED, ids=str)
def test_a_committed_file_is_written_again_as_it_was(path: Path) -> None:
    assert same_bytes(COMMITTED[path], ROOT / path)


@pytest.mark.parametrize("path", WRITTEN_BY_EVALUATE, ids=str)
def test_a_file_of_the_pipeline_is_written_again_as_it_was(results: Path, path: Path) -> None:
    assert same_bytes(WRITTEN_BY_EVALUATE[path], results / path)


def test_the_files_of_a_model_folder_are_written_again_as_they_were(
    repository: Repository,
) -> None:
    repository.decide()
    for name, kind in OF_A_MODEL.items():
        assert same_bytes(kind, repository.root / CANDIDATE / name)
    for name, kind in (OF_A_MODEL | OF_AN_EXPORT).items():
        assert same_bytes(kind, repository.root / PROMOTED / name)


@pytest.mark.parametrize("path", [path for path in COMMITTED if path != PRODUCTION], ids=str)
def test_another_form_is_refused_by_file_and_key(path: Path, tmp_path: Path) -> None:
    kind, file = COMMITTED[path], tmp_path / path.name
    content = json.loads((ROOT / path).read_text())
    key = next(
        name
        for name, field in sorted(kind.model_fields.items())
        if field.is_required() and field.annotation not in (str, str | None)
    )
    for changed, words in (
        ({name: value for name, value in content.items() if name != key}, f"{key}: required"),
        (content | {f"{key}_of_old": 1}, f"{key}_of_old: unknown key; did you mean"),
        (content | {key: "?"}, f"{key}: must be"),
    ):
        write_json(file, changed)
        with pytest.raises(DataError) as refused:
            kind.read(file)
        assert str(file) in str(refused.value)
        assert words in str(refused.value)
        assert "run `dvc repro`" in str(refused.value)


def test_a_nested_key_and_a_value_out_of_range_are_named(tmp_path: Path) -> None:
    content = json.loads((ROOT / METRICS).read_text())
    content["baselines"]["base_rate"]["auroc"]["value"] = 1.5
    del content["candidate"]["conformal"]["coverage"]["n"]
    content["test"]["n"] = True
    write_json(tmp_path / "metrics.json", content)
    with pytest.raises(DataError) as refused:
        Metrics.read(tmp_path / "metrics.json")
    assert "baselines.base_rate.auroc.value: must be at least -1 and at most 1.0, got 1.5" in str(
        refused.value
    )
    assert "candidate.conformal.coverage.n: required, but not given" in str(refused.value)
    assert "test.n: must be a whole number, got True" in str(refused.value)


def test_a_record_of_another_form_says_where_the_true_one_is(tmp_path: Path) -> None:
    content = json.loads((ROOT / PRODUCTION).read_text())
    del content["production"][0]["commit"]
    write_json(tmp_path / "production.json", content)
    with pytest.raises(DataError, match=r"production\.0\.commit: required[^$]*git checkout"):
        Production.read(tmp_path / "production.json")


def test_a_file_of_a_model_of_another_form_is_a_damaged_model(tmp_path: Path) -> None:
    write_json(tmp_path / "version.json", {"model": "drugban", "model_sha256": "abc"})
    with pytest.raises(DamagedModelError, match=r"version\.json(.|\n)*model_sha256: .*got 'abc'"):
        Version.read(tmp_path / "version.json")


def test_a_missing_file_and_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metrics\.json cannot be read"):
        Metrics.read(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text("[1]")
    with pytest.raises(DataError, match="a JSON object is wanted, not a list"):
        Metrics.read(tmp_path / "metrics.json")


def test_an_optional_key_is_written_only_where_it_was_given() -> None:
    plain = {"value": None, "low": None, "high": None}
    assert Steps(epochs=0, best_epoch=None).plain() == {"epochs": 0, "best_epoch": None}
    assert Measure(**plain).plain() == plain
    assert Measure(**plain, reason="no pairs").plain() == plain | {"reason": "no pairs"}


def test_a_whole_number_stays_one(tmp_path: Path) -> None:
    path = ROOT / VALIDATION_METRICS
    observed = ValidationMetrics.read(path).observed
    assert isinstance(observed["drugs"]["drug_count"], int)
    assert isinstance(observed["drugs"]["smiles_parses"], float)
