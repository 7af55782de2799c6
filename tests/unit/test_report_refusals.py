"""Results that are missing or of another form: the report names the file, and is not written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from reported_results import change, report, write_results

from stages.dti.atomic import write_text
from stages.dti.errors import DataError
from stages.dti.paths import (
    DECISION,
    EVALUATION,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PROMOTED,
    TRAINING_CURVES,
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    write_results(root)
    return root


@pytest.fixture
def copy(results: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(results, tmp_path / "copy"))


def test_a_missing_key_names_its_file(copy: Path) -> None:
    change(copy / METRICS, lambda metrics: metrics["candidate"]["auroc"].pop("low"))
    with pytest.raises(DataError, match=r"reports/metrics\.json has no 'candidate\.auroc\.low'"):
        report(copy)


def test_a_key_missing_for_a_template_names_its_file(copy: Path) -> None:
    change(copy / PREPARE_METRICS, lambda found: found.pop("rows_merged"))
    with pytest.raises(DataError, match=r"reports/prepare_metrics\.json has no 'rows_merged'"):
        report(copy)


@pytest.mark.parametrize(
    "artefact",
    [
        LEAKAGE,
        DECISION,
        *(EVALUATION / f"{name}.json" for name in ("strata", "applicability", "robustness")),
    ],
)
def test_a_missing_file_is_named(copy: Path, artefact: Path) -> None:
    (copy / artefact).unlink()
    with pytest.raises(DataError, match=re.escape(str(artefact))):
        report(copy)


def test_a_broken_file_is_named(copy: Path) -> None:
    write_text(copy / METRICS, "{")
    with pytest.raises(DataError, match=r"reports/metrics\.json is no JSON"):
        report(copy)


def test_a_promoted_folder_without_a_card_is_refused(copy: Path) -> None:
    (copy / PROMOTED / "MODEL_CARD.md").unlink()
    with pytest.raises(DataError, match=r"MODEL_CARD\.md"):
        report(copy)


def test_curves_of_another_form_are_refused(copy: Path) -> None:
    write_text(copy / TRAINING_CURVES / "loss.csv", "step,loss\n0,1\n")
    with pytest.raises(DataError, match=r"loss\.csv has the columns step, loss"):
        report(copy)


def test_missing_pictures_are_refused(copy: Path) -> None:
    shutil.rmtree(copy / EVALUATION / "pictures")
    with pytest.raises(DataError, match="holds no picture"):
        report(copy)
