"""The exported model: the candidate's files as they are, and beside them what vouches for them.

===============  ================================================================================
golden.json      test pairs with the predictions that the model must reproduce (``golden.py``)
metrics.json     ``reports/metrics.json`` as it was when the model passed the gate
MODEL_CARD.md    what was measured, in words and tables (``card.py``)
version.json     name and hash of the model: it is known by its content, here and everywhere; the
                 number that a registry gives it stands in no file
files.json       as the candidate has it, and the hashes of the four files above
===============  ================================================================================

Where there is no model to export, the folder holds ``NO_MODEL.md`` alone, which says why.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from stages.dti.atomic import write_folder, write_json, write_text
from stages.dti.lifecycle.gates import Decision
from stages.dti.lifecycle.golden import GOLDEN, golden_predictions
from stages.dti.lifecycle.provenance import folder_sha256
from stages.dti.model_files import FILES, verify_folder
from stages.dti.predictor import Predictor

MODEL = "model.json"
METRICS_FILE = "metrics.json"
CARD = "MODEL_CARD.md"
VERSION = "version.json"
NO_MODEL = "NO_MODEL.md"
MLFLOW_FILE = "MLmodel"

EXPORTED = (GOLDEN, METRICS_FILE, CARD, VERSION)
WRITTEN_HERE = (*EXPORTED, FILES)
BESIDE_THE_MODEL = (*WRITTEN_HERE, MLFLOW_FILE)
"""Files of an export that are not the model's own; its hash leaves them out."""

SHORT = 12
"""Digits of a hash that tell a model from all others in a line of text."""


@dataclass(frozen=True)
class Export:
    """An exported model.

    Attributes:
        folder: where it lies.
        model_sha256: hash of the model's own files, computed from them; equal to that of the
            candidate it was.
    """

    folder: Path
    model_sha256: str

    @classmethod
    def find(cls, folder: Path) -> Export | None:
        """Return the model in ``folder``, or ``None`` if there is none.

        Raises:
            DamagedModelError: its files are not what was exported.
        """
        if not (folder / MODEL).is_file():
            return None
        if not (folder / FILES).is_file():  # of an earlier format
            return cls(folder, folder_sha256(folder, exclude=BESIDE_THE_MODEL))
        return cls(folder, verify_folder(folder))


def fill_export(
    folder: Path,
    candidate: Path,
    metrics: dict[str, Any],
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
    golden = golden_predictions(predictor, test, golden_pairs)
    write_json(folder / GOLDEN, golden)
    write_json(folder / METRICS_FILE, metrics)
    identity = {key: decision.candidate[key] for key in ("model", "model_sha256")}
    write_json(folder / VERSION, identity)
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
