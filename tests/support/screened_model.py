"""A promoted model that is quick to fit, and a small library, for the tests of screening."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from stages.dti.config.base import build
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.model import ModelConfig
from stages.dti.config.report import ReportConfig
from stages.dti.config.screen import ScreenConfig
from stages.dti.files import read_json
from stages.dti.models.base import FitContext
from stages.dti.paths import PROMOTED, ROOT, SAMPLE, SCREENING, SCREENING_METRICS, Paths
from stages.dti.reporting.screening_page import screening_page
from stages.dti.training.classical import fit_classical
from stages.dti.training.export import finish, load_training_data
from tests.support.prepared_tables import (
    DEFAULTS,
    STANDARDISE,
    section,
    write_features,
    write_tables,
)

LIBRARY = "library.csv"

NOT_DRUGS = ("not a molecule", "")


def screen_section(**changes: Any) -> ScreenConfig:
    """The section for a small library in a file."""
    small = {
        "library": LIBRARY,
        "columns": {"smiles": "smiles", "id": "drug_id", "name": None},
        "top_k": 5,
        "margin": 5,
        "chunk_drugs": 16,
    }
    return section(ScreenConfig, "screen", **(small | changes))


def screening_page_of(root: Path) -> str:
    """The page of what was screened below ``root``: three targets, two drugs each."""
    ranking = pd.read_parquet(root / SCREENING / "ranking.parquet")
    metrics = read_json(root / SCREENING_METRICS)
    report = section(ReportConfig, "report", screening_targets=3, screening_drugs=2)
    return screening_page(ranking, metrics, screen_section(), report)


def write_promoted(root: Path, name: str = "logistic_regression") -> None:
    """Fit a model on ten targets of the sample and leave it as the promoted one."""
    write_tables(root)
    write_features(root)
    data = load_training_data(Paths(inputs=root, outputs=root))
    config = build(ModelConfig, DEFAULTS["baselines"][name], "model").root
    context = FitContext(seed=0, threads=1, workdir=root, on_epoch=lambda _: None)
    model = fit_classical(config, data.train, data.validation, context)
    (root / PROMOTED).mkdir(parents=True)
    finish(
        model, config, data, section(CalibrationConfig, "calibration"), STANDARDISE, seed=0
    ).save(root / PROMOTED)


def write_inputs(root: Path) -> None:
    """Write all that the stage reads: the promoted model and the library."""
    write_promoted(root)
    write_library(root)


def write_library(root: Path, drugs: int = 60) -> pd.DataFrame:
    """Write drugs of the sample, two that are none, and a salt of the first in another chunk."""
    table = pd.read_csv(ROOT / SAMPLE / "drugs.csv", nrows=drugs)
    salt = pd.DataFrame({"drug_id": ["SALT"], "smiles": [table["smiles"][0] + ".Cl"]})
    broken = pd.DataFrame({"drug_id": ["BROKEN", None], "smiles": list(NOT_DRUGS)})
    table = pd.concat([table[:20], broken, table[20:], salt], ignore_index=True)
    table.to_csv(root / LIBRARY, index=False)
    return table
