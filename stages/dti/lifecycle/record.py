"""What was promoted by an explicit act: ``models/production.json``, in git.

Per alias (``production``, ``staging``) a list of promotions, the newest last. It is written by
``make promote`` alone and is an input of the stage ``promote``: from here, and from nowhere else,
a candidate learns which model it has to measure up to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from stages.dti.errors import DataError
from stages.dti.files import read_json, write_json
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
