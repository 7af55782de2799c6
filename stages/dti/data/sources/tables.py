"""Reading the tables that people publish, compressed or not, all as text.

CSV, TSV and Parquet are known by their content, chemists' files (``molecule_files.py``) by name.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import fsspec
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from stages.dti.data.sources.molecule_files import UNREADABLE, read_molecules, reader_of
from stages.dti.errors import DataError, nearest

_MISSING = ("", "nan", "NaN", "NA", "N/A", "null", "NULL", "None", "<NA>")
"""Cells that mean "no value"."""

_STRUCTURES = ("smiles", "sequence")

Compression = Literal["gzip", "zip", "bz2", "xz"]

_COMPRESSIONS: dict[bytes, Compression] = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
}
"""First bytes of a compressed file → the name by which fsspec and pandas know it."""

_DECIMAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)

_RELATIONS = {
    "": "=",
    "=": "=",
    "==": "=",
    "~": "=",
    "<": "<",
    "<<": "<",
    "<=": "<=",
    ">": ">",
    ">>": ">",
    ">=": ">=",
}
"""Relation as published → as kept; ``~`` (about) counts as equal."""


def read_table(path: Path, where: str | None = None) -> pd.DataFrame:
    """Read a table, a SMILES file, a FASTA or an SDF; every cell a str or ``None``.

    A chemists' file has the columns that ``molecule_files.py`` names. Its ``smiles`` or
    ``sequence`` may go to the ``Predictor`` as they are: a record without one is an invalid row.

    Args:
        where: how errors name the file; its path, if not given.

    Raises:
        DataError: it is no such table, holds no row, or has two columns of one name.
    """
    where = where or str(path)
    reader = reader_of(path.name)
    if reader is not None:
        with table_errors(where), fsspec.open(str(path), compression=compression_of(path)) as file:
            records = read_molecules(file.read(), reader, where)
        if records.empty:
            raise DataError(f"{where} holds no record")
        return as_text(records)
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    with table_errors(where):
        if parquet:
            _refuse_duplicates(pq.read_schema(path).names, where)
            table = pd.read_parquet(path)
            table = table.apply(lambda column: column.map(str, na_action="ignore"))
        else:
            separator = _separator(read_header(path, where), where)
            # pandas would rename the second of two equal names, and never say so.
            header = pd.read_csv(
                path,
                sep=separator,
                header=None,
                nrows=1,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
                compression=compression_of(path),
            )
            _refuse_duplicates(header.iloc[0], where)
            table = pd.read_csv(
                path,
                sep=separator,
                dtype=str,
                keep_default_na=False,
                index_col=False,
                encoding="utf-8-sig",
                compression=compression_of(path),
            )
    if table.empty:
        raise DataError(f"{where} holds a header but no row")
    return as_text(table)


def _refuse_duplicates(names: Iterable[str], where: str) -> None:
    counts = Counter(name.strip() for name in names)
    twice = [name for name, count in counts.items() if name and count > 1]
    if twice:
        raise DataError(
            f"{where} has {counts[twice[0]]} columns {twice[0]!r}, and which of them is meant is "
            "not said; rename or delete all but one"
        )


def read_header(path: Path, where: str) -> str:
    """Return the first line of a text file, decompressed, without its line end."""
    with (
        table_errors(where),
        fsspec.open(
            str(path), "rt", compression=compression_of(path), encoding="utf-8-sig"
        ) as file,
    ):
        return str(file.readline()).rstrip("\r\n")


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Strip every cell of a table of strings; one that means "no value" becomes ``None``."""
    cleaned = {}
    for name, column in table.items():
        text = column.astype(object).str.strip()
        missing = text.isna() | text.isin(_MISSING)
        cleaned[name] = text.mask(missing, None).astype(object)
    return pd.DataFrame(cleaned, index=table.index, dtype=object)


def pick(table: pd.DataFrame, name: str, where: str) -> pd.Series:
    """Return a column of a table.

    Raises:
        DataError: the table has no such column; the message names the nearest.
    """
    if name not in table.columns:
        names = [str(column) for column in table.columns]
        raise DataError(f"{where} has no column {name!r}{nearest(name, names)}")
    return table[name]


def pick_field(table: pd.DataFrame, name: str | None, field: str, where: str) -> pd.Series | None:
    """Return the column that holds one of our fields; ``None`` if there is none.

    Args:
        name: of the column, as configured; ``None``: the table has none. A chemists' file has our
            own names; only a property that is called as configured goes before its title.

    Raises:
        DataError: as ``pick`` does.
    """
    if UNREADABLE in table.columns and (field in _STRUCTURES or name not in table.columns):
        name = field if field in table.columns else None
    return None if name is None else pick(table, name, where)


def parse_affinities(
    text: pd.Series, relation: pd.Series | None = None
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Split measurements such as ``>10000`` into numbers and relations.

    Args:
        text: str or ``None``.
        relation: str or ``None`` from a column of its own, used where ``text`` bears no sign.

    Returns:
        affinity (float64, NaN where there is none), relation (str, ``=`` where there is none),
        and the original text where it is no finite number or relation, else ``None``.
    """
    numbers = _numbers(text)
    signs = pd.Series("", index=text.index, dtype=object)
    unread = text.notna() & numbers.isna()
    if unread.any():
        parts = text[unread].str.extract(r"^([<>=~]+)\s*(\S+)$")
        numbers[unread] = _numbers(parts[1])
        signs[unread] = parts[0].fillna("")
    if relation is not None:
        given = relation.fillna("").astype(str).str.strip("'\" ")
        signs = signs.where(signs != "", given)
    relations = signs.map(_RELATIONS)
    bad = text.notna() & (~np.isfinite(numbers) | relations.isna())
    original = text.copy()
    if relation is not None:
        original = relation.fillna("").astype(str).str.cat(text.fillna(""), sep=" ").str.strip()
    return (
        numbers.mask(bad | text.isna()),
        relations.mask(bad | text.isna(), "="),
        original.astype(object).where(bad, None),
    )


def parse_labels(text: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Read labels written as 0 and 1 (also ``1.0``, ``true``).

    Returns:
        label (float64: 0, 1 or NaN), and the original text where it is neither, else ``None``.
    """
    words = text.str.lower().map({"true": 1.0, "false": 0.0})
    labels = words.fillna(_numbers(text)).astype(np.float64)
    bad = text.notna() & ~labels.isin((0.0, 1.0))
    return labels.mask(bad), text.astype(object).where(bad, None)


def _numbers(text: pd.Series) -> pd.Series:
    """Convert text to float64, exactly (pandas' own parser errs in the last bit); else NaN.

    Python itself would read ``1_000``, digits of other scripts and ``infinity`` too.
    """

    def number(written: str) -> float:
        return float(written) if _DECIMAL.fullmatch(written) else np.nan

    return text.map(number, na_action="ignore").astype(np.float64)


def compression_of(path: Path) -> Compression | None:
    """Return how a file is compressed, from its first bytes; ``None`` if it is not."""
    with path.open("rb") as file:
        start = file.read(8)
    for signature, name in _COMPRESSIONS.items():
        if start.startswith(signature):
            return name
    return None


@contextmanager
def table_errors(where: str) -> Iterator[None]:
    """Turn what pandas, the decoder or the decompressor says into a DataError with the name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 text: {error}; convert it first") from error
    except (ValueError, OSError, EOFError, pd.errors.ParserWarning) as error:
        raise DataError(f"{where} cannot be read as a table: {error}") from error


def _separator(header: str, where: str) -> str:
    counts = {separator: header.count(separator) for separator in "\t,;"}
    best = max(counts, key=lambda separator: counts[separator])
    if counts[best] == 0:
        raise DataError(
            f"{where} is no table: its first line, {header[:60]!r}, has no tab, comma or semicolon"
        )
    return best
