"""BindingDB's own dump: a tab-separated file with its official column names.

Only targets of a single chain are used: which chain of a complex binds the drug is not said.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from stages.dti.data.sources.tables import (
    as_text,
    compression_of,
    parse_affinities,
    read_header,
    table_errors,
)
from stages.dti.errors import DataError, nearest

MULTICHAIN_TARGET = "multichain_target"
"""Refusal of a row whose target has several chains."""

_MULTICHAIN_DETAIL = "the target has several chains, and which of them binds is not said"

_SEQUENCE = "BindingDB Target Chain Sequence"
_CHAINS = "Number of Protein Chains in Target (>1 implies a multichain complex)"

_FIELDS: dict[str, tuple[str, ...]] = {
    "smiles": ("Ligand SMILES",),
    "sequence": (_SEQUENCE,),
    "drug_id": ("BindingDB MonomerID", "PubChem CID"),
    "target_id": (
        "UniProt (SwissProt) Primary ID of Target Chain",
        "UniProt (TrEMBL) Primary ID of Target Chain",
    ),
    "drug_name": ("BindingDB Ligand Name",),
    "target_name": ("Target Name",),
    "organism": ("Target Source Organism According to Curator or DataSource",),
}
"""Our field → the dump's columns, the first of them that has a value wins."""

_REQUIRED = ("Ligand SMILES", _SEQUENCE)

_CHUNK_ROWS = 100_000


def read_dump(path: Path, where: str, measurements: Sequence[str]) -> pd.DataFrame:
    """Read the dump in pieces; only the columns that are needed.

    Args:
        where: how errors name the file.
        measurements: ``Kd``, ``Ki``, ``IC50`` or ``EC50``; a row's affinity (nM, with its relation)
            is the first of them that the row has.

    Returns:
        Columns smiles, sequence, drug_id, target_id, target_name, organism, affinity, relation,
        affinity_text, drug_name, refusal, refusal_detail.

    Raises:
        DataError: a needed column is missing, or the file is no such table.
    """
    columns = _positions(read_header(path, where).split("\t"), where, measurements)
    wanted = sorted(columns.values())
    seen: dict[str, str] = {}
    parts = []
    with (
        table_errors(where),
        pd.read_csv(
            path,
            sep="\t",
            header=0,
            usecols=wanted,
            dtype=str,
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
            encoding="utf-8-sig",
            compression=compression_of(path),
            chunksize=_CHUNK_ROWS,
        ) as chunks,
    ):
        names = [name for name, _ in sorted(columns.items(), key=lambda item: item[1])]
        for chunk in chunks:
            chunk.columns = pd.Index(names)
            part = _read_chunk(as_text(chunk), measurements)
            for field in ("smiles", "sequence", "drug_name", "target_name", "organism"):
                # A dump repeats each text many times; one object for equal ones saves gigabytes.
                part[field] = [
                    seen.setdefault(text, text) if text is not None else None
                    for text in part[field]
                ]
            parts.append(part)
    if not parts or not sum(map(len, parts)):
        raise DataError(f"{where} holds a header but no row")
    return pd.concat(parts, ignore_index=True)


def _positions(header: Sequence[str], where: str, measurements: Sequence[str]) -> dict[str, int]:
    """Return name → position of the columns to read.

    A name that stands once per chain keeps its first place; the second place of the sequence is
    kept as ``second_sequence``. Releases differ in white space, and newer ones number the chains.
    """
    plain = [re.sub(r" 1$", "", " ".join(name.split())) for name in header]
    required = (*_REQUIRED, *(f"{kind} (nM)" for kind in measurements))
    for name in required:
        if name not in plain:
            raise DataError(
                f"{where} has no column {name!r}{nearest(name, plain)}; "
                "is it the tab-separated dump of BindingDB?"
            )
    optional = [name for names in _FIELDS.values() for name in names] + [_CHAINS]
    positions = {name: plain.index(name) for name in (*required, *optional) if name in plain}
    others = [
        index
        for index, name in enumerate(plain)
        if name in (_SEQUENCE, f"{_SEQUENCE} 2") and index != positions[_SEQUENCE]
    ]
    if others:
        positions["second_sequence"] = others[0]
    return positions


def _read_chunk(chunk: pd.DataFrame, measurements: Sequence[str]) -> pd.DataFrame:
    part = pd.DataFrame(index=chunk.index)
    for field, names in _FIELDS.items():
        part[field] = _first(chunk, names)
    text = _first(chunk, [f"{kind} (nM)" for kind in measurements])
    part["affinity"], part["relation"], part["affinity_text"] = parse_affinities(text)
    several = pd.Series(False, index=chunk.index)
    if _CHAINS in chunk:
        several |= pd.to_numeric(chunk[_CHAINS], errors="coerce") > 1
    if "second_sequence" in chunk:
        several |= chunk["second_sequence"].notna()
    part["refusal"] = several.map({True: MULTICHAIN_TARGET, False: None}).astype(object)
    part["refusal_detail"] = several.map({True: _MULTICHAIN_DETAIL, False: None}).astype(object)
    return part


def _first(chunk: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """Return, row by row, the first of several columns that has a value; else ``None``."""
    result = pd.Series([None] * len(chunk), index=chunk.index, dtype=object)
    for name in names:
        if name in chunk:
            result = result.where(result.notna(), chunk[name])
    return result
