"""The stage `validate`: what it writes, when it stops the pipeline, and equal bytes twice."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
import yaml

from stages.dti.artifacts.validation import Validation
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.validate import ValidateConfig
from stages.dti.errors import DataError
from stages.dti.paths import RAW, ROOT, VALIDATION, VALIDATION_METRICS, Paths
from stages.dti.reporting.validation_page import validation_page
from stages.validate import run
from tests.support.prepared_tables import STANDARDISE

ROWS = [
    "SMILES,Protein,Y",
    *(
        f"{smiles},{sequence},{label}"
        for label, sequence in enumerate(
            (
                "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG",
                "MVKQIESKTAFQEALDAAGDKLVVVDFSATWCGPCKMIKPFFHSLSEKYSNVIFLEVDVDDCQDVASECEVKC",
            )
        )
        for smiles in ("CCO", "CC(=O)Oc1ccccc1C(=O)O", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "CCN")
    ),
]
DATASET = DatasetConfig.model_validate(
    {
        "sources": {
            "tiny": {
                "format": "pairs",
                "files": {"pairs": {"url": "pairs.csv"}},
                "columns": {"smiles": "SMILES", "sequence": "Protein", "label": "Y"},
                "label": {"rule": "given"},
            }
        }
    }
)


def config(**changes: object) -> ValidateConfig:
    values = yaml.safe_load((ROOT / "conf/validate/default.yaml").read_text(encoding="utf-8"))
    return ValidateConfig.model_validate(values | changes)


def with_raw_data(root: Path, rows: list[str]) -> Paths:
    folder = root / RAW / "tiny"
    folder.mkdir(parents=True)
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    manifest = {"tiny": {"pairs": {"file": "tiny/pairs.csv"}}}
    (root / RAW / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return Paths(inputs=root, outputs=root)


def hashes(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "reports").rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good")
    paths = with_raw_data(root, ROWS)
    run(paths, dataset=DATASET, standardise=STANDARDISE, validate=config())
    return root


def test_good_data_scores_100(good: Path) -> None:
    found = json.loads((good / VALIDATION_METRICS).read_text(encoding="utf-8"))
    assert found["quality_score"] == 100
    assert found["coverage_fraction"] == 1
    assert found["checks_passed"] == found["checks_total"] > 10
    assert (found["rows"], found["drugs"], found["targets"]) == (8, 4, 2)


def test_every_result_is_written(good: Path) -> None:
    found = json.loads((good / VALIDATION / "validation.json").read_text(encoding="utf-8"))
    assert found["dataset"] == "tiny"
    assert found["verdict"] == "passed"
    assert {check["suite"] for check in found["checks"]} == {"drugs", "targets", "interactions"}
    docs = good / VALIDATION / "data_docs"
    assert (docs / "index.html").exists()
    assert len(list((docs / "validations").rglob("*.html"))) == 3


def test_two_runs_give_equal_bytes(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second stands elsewhere, runs later, and in another time zone."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        run(
            with_raw_data(tmp_path, ROWS),
            dataset=DATASET,
            standardise=STANDARDISE,
            validate=config(),
        )
    time.tzset()
    assert hashes(tmp_path) == hashes(good)


@pytest.fixture(scope="module")
def bad_rows() -> list[str]:
    return [*ROWS, ROWS[1].replace("CCO", "c1ccc")]


def test_failed_checks_stop_the_pipeline_and_leave_the_reports(
    tmp_path: Path, bad_rows: list[str]
) -> None:
    paths = with_raw_data(tmp_path, bad_rows)
    with pytest.raises(DataError, match="smiles_parses") as error:
        run(paths, dataset=DATASET, standardise=STANDARDISE, validate=config())
    docs = tmp_path / VALIDATION / "data_docs/index.html"
    assert str(docs) in str(error.value)
    assert docs.is_file()
    written = Validation.read(tmp_path / VALIDATION / "validation.json")
    assert "SMILES syntax error" in validation_page(written)
    found = json.loads((tmp_path / VALIDATION_METRICS).read_text(encoding="utf-8"))
    assert found["checks_failed"] == 2
    assert found["coverage_fraction"] == pytest.approx(8 / 9)


def test_failed_checks_are_only_reported_on_request(tmp_path: Path, bad_rows: list[str]) -> None:
    paths = with_raw_data(tmp_path, bad_rows)
    run(paths, dataset=DATASET, standardise=STANDARDISE, validate=config(on_failure="report"))
    found = json.loads((tmp_path / VALIDATION / "validation.json").read_text(encoding="utf-8"))
    assert found["verdict"] == "failed"
    assert found["problems"]
