"""Reading the tables that people publish: CSV, TSV or Parquet, compressed or not, all as text."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import fsspec
import numpy as np
import pandas as pd

from stages.dti.errors import DataError, nearest

_MISSING = ("", "nan", "NaN", "NA", "N/A", "null", "NULL", "None", "<NA>")
"""Cells that mean "no value"."""

Compression = Literal["gzip", "zip", "bz2", "xz"]

_COMPRESSIONS: dict[bytes, Compression] = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
}
"""First bytes of a compressed file → the name by which fsspec and pandas know it."""

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


def read_table(path: Path, where: str) -> pd.DataFrame:
    """Read a CSV, TSV or Parquet file, known by its content; every cell a str or ``None``.

    Args:
        where: how errors name the file.

    Raises:
        DataError: it is no such table, or holds no row.
    """
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    with table_errors(where):
        if parquet:
            table = pd.read_parquet(path)
            table = table.apply(lambda column: column.map(str, na_action="ignore"))
        else:
            table = pd.read_csv(
                path,
                sep=_separator(read_header(path, where), where),
                dtype=str,
                keep_default_na=False,
                index_col=False,
                encoding="utf-8-sig",
                compression=compression_of(path),
            )
    if table.empty:
        raise DataError(f"{where} holds a header but no row")
    return as_text(table)


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
        same = [column for column in names if column.casefold() == name.casefold()]
        hint = f"; did you mean {same[0]!r}?" if same else nearest(name, names)
        raise DataError(f"{where} has no column {name!r}{hint}")
    return table[name]


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
    """Convert text to float64, exactly (pandas' own parser errs in the last bit); else NaN."""

    def number(written: str) -> float:
        try:
            return float(written)
        except ValueError:
            return np.nan

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
