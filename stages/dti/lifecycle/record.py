"""What was promoted by an explicit act: ``models/production.json`` (``artifacts/production.py``).

It is written by ``make promote`` alone and is an input of the stage ``promote``: from here, and
from nowhere else, a candidate learns which model it has to measure up to.
"""

from __future__ import annotations

from pathlib import Path

from stages.dti.artifacts.production import Production, Promotion
from stages.dti.paths import INTERACTIONS, SPLITS

MEASURED_ON = (INTERACTIONS.as_posix(), SPLITS.as_posix())
"""Data that decide which pairs are tested, and with which label."""


def read_history(path: Path, alias: str) -> list[Promotion]:
    """Return the promotions to an alias, the newest last.

    Args:
        path: of ``models/production.json``.

    Raises:
        DataError: the file is not what ``make promote`` writes.
    """
    return Production.read(path).of(alias)


def add_promotion(path: Path, alias: str, promotion: Promotion) -> None:
    """Append a promotion; the file is replaced whole."""
    Production.read(path).adding(alias, promotion).write(path)


def before(history: list[Promotion], model_sha256: str) -> Promotion | None:
    """Return the newest promotion of another model than this one."""
    others = [entry for entry in history if entry.model_sha256 != model_sha256]
    return others[-1] if others else None
