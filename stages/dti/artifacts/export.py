"""The exported model: the candidate's files as they are, and beside them what vouches for them.

===============  ================================================================================
golden.json      test pairs, and the predictions that the model must reproduce (``golden.py``)
metrics.json     ``reports/metrics.json`` as it was when the model passed the gate
MODEL_CARD.md    what was measured, in words and tables (``card.py``)
version.json     name and hash of the model: it is known by its content, here and everywhere; the
                 number that a registry gives it stands in no file
files.json       as the candidate has it, and the hashes of the four files above
===============  ================================================================================

Where there is no model to export, the folder holds ``NO_MODEL.md`` alone, which says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.dti.artifacts.model_files import FILES, verify_folder
from stages.dti.hashing import folder_sha256

MODEL = "model.json"
GOLDEN = "golden.json"
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
