"""The published forms of drug–target data, read into one table of raw records.

``pairs``: a table with one pair per row; one file, or one per split.
``tables``: drugs, targets and interactions, joined by their ids; drugs may be a SMILES file or an
SDF, targets a FASTA (``data/sources/tables.py``).
``deepdta``: an affinity matrix with ligands and proteins as JSON (``data/sources/deepdta.py``).
``bindingdb_dump``: BindingDB's own tab-separated dump (``data/sources/bindingdb.py``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from stages.dti.config.dataset import SPLIT_ROLES, Columns, DatasetConfig, Source
from stages.dti.data.sources.bindingdb import read_dump
from stages.dti.data.sources.deepdta import read_matrix
from stages.dti.data.sources.manifest import read_manifest
from stages.dti.data.sources.molecule_files import UNREADABLE
from stages.dti.data.sources.tables import (
    parse_affinities,
    parse_labels,
    pick,
    pick_field,
    read_table,
)
from stages.dti.errors import DataError

UNREADABLE_RECORD = "unreadable_record"
"""Refusal of a row whose drug or target stands in a record that holds no structure."""

INVALID_TEXT = "invalid_text"
"""Refusal of a row with text that is no Unicode: a lone surrogate."""

_TARGET_FACTS = ("target_name", "organism", "target_class")

_TEXT_COLUMNS = (
    "drug_id",
    "target_id",
    "drug_name",
    "smiles",
    "sequence",
    "affinity_text",
    "label_text",
    "published_split",
    "target_name",
    "organism",
    "target_class",
    "refusal",
    "refusal_detail",
)

RECORD_COLUMNS = (
    "source",
    "file",
    "source_row",
    "drug_id",
    "target_id",
    "smiles",
    "sequence",
    "affinity",
    "affinity_text",
    "relation",
    "label",
    "label_text",
    "published_split",
    "drug_name",
    "target_name",
    "organism",
    "target_class",
    "refusal",
    "refusal_detail",
)

_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}


def read_records(dataset: DatasetConfig, raw: Path) -> pd.DataFrame:
    """Read every source of a data set from ``data/raw``.

    Returns:
        One row per source row, in the order of the sources, their files and their rows:

        - source, file: str; source_row: int64, the data row in that file, from 1 (``deepdta``:
          the measured cell, row by row)
        - drug_id, target_id, smiles, sequence, drug_name, target_name, organism, target_class: str
          or None
        - affinity: float64, in the unit of the source's label rule, NaN if none; relation: str,
          one of ``= < <= > >=``; affinity_text: the original where it is no number, else None
        - label: float64, a given 0 or 1, NaN if none; label_text likewise
        - published_split: ``train``, ``val``, ``test`` or None
        - refusal: code of the reason why the form itself rules the row out (refusal_detail: in
          words), else None

    Raises:
        DataError: a source was not acquired, or a file is not what its form says.
    """
    manifest = read_manifest(raw)
    frames = []
    for name, source in dataset.sources.items():
        if name not in manifest:
            raise DataError(
                f"data/raw holds {', '.join(sorted(manifest)) or 'nothing'}, not the source "
                f"{name!r}; run `dvc repro acquire` with this data set"
            )
        missing = set(source.files) - set(manifest[name])
        if missing:
            raise DataError(
                f"data/raw lacks the file {min(missing)!r} of the source {name!r}; "
                "run `dvc repro acquire`"
            )
        files = {role: raw / manifest[name][role]["file"] for role in source.files}
        frames.append(_read_source(source, files, name))
    records = pd.concat(frames, ignore_index=True)
    _refuse_invalid_text(records)
    return records


def _refuse_invalid_text(records: pd.DataFrame) -> None:
    """Refuse rows with a lone surrogate, which no file could hold, and write it as ``\\udc80``."""
    for field in _TEXT_COLUMNS:
        texts = records[field].dropna().unique()
        broken = {text: _escaped(text) for text in texts if _escaped(text) != text}
        if not broken:
            continue
        where = records[field].isin(broken)
        records.loc[where, field] = records.loc[where, field].map(broken)
        refused = where & records["refusal"].isna()
        records.loc[refused, "refusal"] = INVALID_TEXT
        records.loc[refused, "refusal_detail"] = [
            f"{field} is no Unicode text: {text}" for text in records.loc[refused, field]
        ]


def _escaped(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _read_source(source: Source, files: dict[str, Path], name: str) -> pd.DataFrame:
    where = {role: f"{name}: file {role} ({source.files[role].url})" for role in files}
    if source.format == "deepdta":
        parts = {"affinity": read_matrix(files, where, source.validation_fold)}
    elif source.format == "bindingdb_dump":
        parts = {"dump": read_dump(files["dump"], where["dump"], source.measurements)}
    elif source.format == "tables":
        parts = {"interactions": _read_tables(files, where, source)}
    else:
        parts = {}
        for role in ("pairs", *SPLIT_ROLES):
            if role in files:
                parts[role] = _read_pairs(read_table(files[role], where[role]), where[role], source)
                if role in SPLIT_ROLES:
                    parts[role]["published_split"] = role
    frames = [_complete(part, name, files[role].name) for role, part in parts.items()]
    return pd.concat(frames, ignore_index=True)


def _read_pairs(table: pd.DataFrame, where: str, source: Source) -> pd.DataFrame:
    columns = source.columns
    part = _read_values(table, where, source)
    for field in ("smiles", "sequence", "drug_id", "target_id", "drug_name", *_TARGET_FACTS):
        _copy(part, table, field, columns, where)
    if UNREADABLE in table:
        _refuse_unreadable(part, table[UNREADABLE])
    return part


def _read_tables(files: dict[str, Path], where: dict[str, str], source: Source) -> pd.DataFrame:
    """Join the three tables; an id that is in none leaves its row without SMILES or sequence."""
    columns = source.columns
    tables = {role: read_table(path, where[role]) for role, path in files.items()}
    part = _read_values(tables["interactions"], where["interactions"], source)
    for role, id_field, value_field, extra in (
        ("drugs", "drug_id", "smiles", ("drug_name",)),
        ("targets", "target_id", "sequence", _TARGET_FACTS),
    ):
        _copy(part, tables["interactions"], id_field, columns, where["interactions"])
        entities = pd.DataFrame(index=tables[role].index)
        for field in (id_field, value_field, *extra):
            _copy(entities, tables[role], field, columns, where[role])
        if UNREADABLE in tables[role]:
            entities[UNREADABLE] = tables[role][UNREADABLE]
        entities = entities[entities[id_field].notna()].drop_duplicates()
        twice = entities[id_field].duplicated()
        if twice.any():
            raise DataError(
                f"{where[role]}: {id_field} {entities[id_field][twice].iloc[0]!r} stands in "
                "several rows that differ; an id must name one drug or target"
            )
        entities = entities.set_index(id_field)
        for field in entities.columns:
            values = part[id_field].map(entities[field])
            part[field] = values.astype(object).where(values.notna(), None)
        if UNREADABLE in part:
            _refuse_unreadable(part, part.pop(UNREADABLE))
    return part


def _refuse_unreadable(part: pd.DataFrame, reasons: pd.Series) -> None:
    for column in ("refusal", "refusal_detail"):
        if column not in part:
            part[column] = pd.Series([None] * len(part), index=part.index, dtype=object)
    where = reasons.notna() & part["refusal"].isna()
    part.loc[where, "refusal"] = UNREADABLE_RECORD
    part.loc[where, "refusal_detail"] = reasons[where]


def _read_values(table: pd.DataFrame, where: str, source: Source) -> pd.DataFrame:
    """Read what the label comes from, and the published split."""
    columns = source.columns
    part = pd.DataFrame(index=table.index)
    if source.label.rule == "threshold":
        assert columns.affinity is not None
        relation = None if columns.relation is None else pick(table, columns.relation, where)
        part["affinity"], part["relation"], part["affinity_text"] = parse_affinities(
            pick(table, columns.affinity, where), relation
        )
    else:
        assert columns.label is not None
        part["label"], part["label_text"] = parse_labels(pick(table, columns.label, where))
    if columns.split is not None:
        part["published_split"] = _split_names(pick(table, columns.split, where), where)
    return part


def _split_names(text: pd.Series, where: str) -> pd.Series:
    names = text.str.lower().map(_SPLIT_NAMES)
    unknown = text.notna() & names.isna()
    if unknown.any():
        raise DataError(
            f"{where}: column {text.name!r} holds {text[unknown].iloc[0]!r}; a published split is "
            "train, val (or valid, validation, dev) or test"
        )
    return names.astype(object).where(names.notna(), None)


def _copy(
    part: pd.DataFrame, table: pd.DataFrame, field: str, columns: Columns, where: str
) -> None:
    column = pick_field(table, getattr(columns, field), field, where)
    if column is not None:
        part[field] = column


def _complete(part: pd.DataFrame, source: str, file: str) -> pd.DataFrame:
    """Add the columns that a form does not have."""
    part = part.reset_index(drop=True)
    part["source"] = source
    part["file"] = file
    part["source_row"] = np.arange(1, len(part) + 1, dtype=np.int64)
    for field in _TEXT_COLUMNS:
        if field not in part:
            part[field] = pd.Series([None] * len(part), dtype=object)
    for field in ("affinity", "label"):
        if field not in part:
            part[field] = np.nan
    if "relation" not in part:
        part["relation"] = "="
    return part[list(RECORD_COLUMNS)]
