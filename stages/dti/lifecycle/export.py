"""Filling ``models/promoted/`` (``artifacts/export.py`` says what it holds)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from stages.dti.artifacts.decision import Decision
from stages.dti.artifacts.export import (
    GOLDEN,
    METRICS_FILE,
    MLFLOW_FILE,
    NO_MODEL,
    VERSION,
    Export,
)
from stages.dti.artifacts.metrics import Metrics
from stages.dti.artifacts.model import Version
from stages.dti.files import write_folder, write_text
from stages.dti.lifecycle.golden import golden_predictions
from stages.dti.prediction.predictor import Predictor


def fill_export(
    folder: Path,
    candidate: Path,
    metrics: Metrics,
    test: pd.DataFrame,
    golden_pairs: int,
    decision: Decision,
) -> Predictor:
    """Copy the candidate into the empty ``folder`` and write all beside it but the card.

    Returns:
        The model, loaded from the copy.

    Raises:
        ModelError: the copy does not predict what ``evaluate`` measured.
    """
    shutil.copytree(candidate, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    predictor = Predictor.load(folder)
    golden_predictions(predictor, test, golden_pairs).write(folder / GOLDEN)
    metrics.write(folder / METRICS_FILE)
    decided = decision.candidate
    Version(model=decided.model, model_sha256=decided.model_sha256).write(folder / VERSION)
    return predictor


def keep(in_production: Export | None, destination: Path, decision: Decision, why: str) -> None:
    """After a refusal: export the model in production, or say why there is none.

    Args:
        in_production: it may lie at ``destination`` already, and then stays as it is.
        why: there is no ``in_production``.
    """
    if in_production is None:
        lines = [f"- {check.name}: {check.reason}" for check in decision.checks]
        text = f"# No model\n\n{why}\n\nThe last candidate was refused. {decision.summary}\n\n"
        with write_folder(destination) as folder:
            write_text(folder / NO_MODEL, text + "\n".join(lines) + "\n")
    elif in_production.folder != destination:
        ignored = shutil.ignore_patterns(MLFLOW_FILE)
        with write_folder(destination) as folder:
            shutil.copytree(in_production.folder, folder, dirs_exist_ok=True, ignore=ignored)
