"""Results that are missing or of another form: the report names the file, and is not written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stages.dti.errors import DataError
from stages.dti.files import write_text
from stages.dti.paths import (
    DECISION,
    EVALUATION,
    EVALUATION_PLOTS,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PROMOTED,
    TRAINING_CURVES,
)
from tests.support.reported_results import change, report


def test_a_missing_key_names_its_file(results_copy: Path) -> None:
    change(results_copy / METRICS, lambda metrics: metrics["candidate"]["auroc"].pop("low"))
    with pytest.raises(DataError, match=r"/metrics\.json (.|\n)*candidate\.auroc\.low: required"):
        report(results_copy)


def test_a_key_missing_for_a_template_names_its_file(results_copy: Path) -> None:
    change(results_copy / PREPARE_METRICS, lambda found: found.pop("rows_merged"))
    with pytest.raises(DataError, match=r"/prepare_metrics\.json (.|\n)*rows_merged: required"):
        report(results_copy)


@pytest.mark.parametrize(
    "artefact",
    [
        LEAKAGE,
        DECISION,
        *(EVALUATION / f"{name}.json" for name in ("strata", "applicability", "robustness")),
    ],
)
def test_a_missing_file_is_named(results_copy: Path, artefact: Path) -> None:
    (results_copy / artefact).unlink()
    with pytest.raises(DataError, match=re.escape(str(artefact))):
        report(results_copy)


def test_a_broken_file_is_named(results_copy: Path) -> None:
    write_text(results_copy / METRICS, "{")
    with pytest.raises(DataError, match=r"reports/metrics\.json cannot be read"):
        report(results_copy)


def test_a_promoted_folder_without_a_card_is_refused(results_copy: Path) -> None:
    (results_copy / PROMOTED / "MODEL_CARD.md").unlink()
    with pytest.raises(DataError, match=r"MODEL_CARD\.md"):
        report(results_copy)


def test_curves_of_another_form_are_refused(results_copy: Path) -> None:
    write_text(results_copy / TRAINING_CURVES / "loss.csv", "step,loss\n0,1\n")
    with pytest.raises(DataError, match=r"loss\.csv has the columns step, loss"):
        report(results_copy)


def test_a_missing_curve_is_refused(results_copy: Path) -> None:
    (results_copy / EVALUATION_PLOTS / "roc.csv").unlink()
    with pytest.raises(DataError, match=r"roc\.csv does not exist"):
        report(results_copy)
