"""What was promoted by an explicit act: ``models/production.json``, in git.

Per alias (``production``, ``staging``) a list of promotions, the newest last. It is written by
``make promote`` alone and is an input of the stage ``promote``: from here, and from nowhere else,
a candidate learns which model it has to measure up to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from stages.dti.atomic import write_json
from stages.dti.errors import DataError
from stages.dti.lifecycle.gates import PreviousComparison
from stages.dti.paths import INTERACTIONS, PRODUCTION, SPLITS

MEASURED_ON = (INTERACTIONS.as_posix(), SPLITS.as_posix())
"""Data that decide which pairs are tested, and with which label."""


@dataclass(frozen=True)
class Promotion:
    """A model that was promoted.

    Attributes:
        data_sha256: artefact → hash of the data that it was measured on (``MEASURED_ON``).
        test: ``n`` test pairs, and the metrics ``auroc`` and ``auprc`` on them.
        comparison: with the model before it, ``None`` for the first.
        commit: of the promoted state; like ``promoted_unix_s`` it decides nothing.
    """

    model: str
    model_sha256: str
    dataset: str
    data_sha256: Mapping[str, str]
    test: Mapping[str, float | None]
    comparison: PreviousComparison | None
    commit: str
    promoted_unix_s: int


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DataError: the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}; run `dvc repro`, or restore it"
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object; run `dvc repro`, or restore it")
    return content


def read_history(path: Path, alias: str) -> list[Promotion]:
    """Return the promotions to an alias, the newest last.

    Args:
        path: of ``models/production.json``.

    Raises:
        DataError: the file is not what ``make promote`` writes.
    """
    record = read_json(path)
    try:
        return [_promotion(entry) for entry in record.get(alias, [])]
    except (TypeError, AttributeError) as error:
        raise DataError(
            f"{PRODUCTION} is not what `make promote` writes ({error}); take the committed one: "
            f"git checkout {PRODUCTION}"
        ) from error


def add_promotion(path: Path, alias: str, promotion: Promotion) -> None:
    """Append a promotion; the file is replaced whole."""
    record = read_json(path)
    write_json(path, record | {alias: [*record.get(alias, []), asdict(promotion)]})


def before(history: list[Promotion], model_sha256: str) -> Promotion | None:
    """Return the newest promotion of another model than this one."""
    others = [entry for entry in history if entry.model_sha256 != model_sha256]
    return others[-1] if others else None


def _promotion(entry: Mapping[str, Any]) -> Promotion:
    comparison = entry.get("comparison")
    known = {field.name for field in fields(Promotion)}
    if set(entry) != known:
        raise TypeError(f"an entry has {', '.join(sorted(set(entry) ^ known))} too many or not")
    made = PreviousComparison(**comparison) if comparison else None
    return Promotion(**{**entry, "comparison": made})
