"""The DeepDTA form of Davis and KIBA: text matrix, JSON ligands and proteins, JSON folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.dti.data.sources.tables import parse_affinities
from stages.dti.errors import DataError


def read_matrix(
    files: dict[str, Path], where: dict[str, str], validation_fold: int
) -> pd.DataFrame:
    """Read the measured cells of the matrix, row by row.

    Args:
        files: ``affinity`` (one line per ligand, one value per protein, separated by tabs or
            spaces, ``nan`` = not measured), ``ligands`` and ``proteins`` (JSON objects id → SMILES
            or sequence, in the order of rows and columns); optional ``train_folds`` (JSON list of
            lists) and ``test_fold`` (JSON list): positions among the measured cells, from 0.
        where: how errors name each file.
        validation_fold: which of the train folds is the validation part.

    Returns:
        Columns drug_id, smiles, target_id, sequence, affinity, relation, affinity_text,
        published_split.

    Raises:
        DataError: the files do not fit each other.
    """
    ligands = _entries(files["ligands"], where["ligands"])
    proteins = _entries(files["proteins"], where["proteins"])
    cells = _cells(files["affinity"], where["affinity"], len(ligands), len(proteins))
    rows, columns = np.nonzero(np.char.lower(cells) != "nan")
    if len(rows) == 0:
        raise DataError(f"{where['affinity']} holds no measured cell")
    text = pd.Series(cells[rows, columns].astype(object))
    part = pd.DataFrame(index=text.index)
    part["affinity"], part["relation"], part["affinity_text"] = parse_affinities(text)
    for entries, indices, id_field, value_field in (
        (ligands, rows, "drug_id", "smiles"),
        (proteins, columns, "target_id", "sequence"),
    ):
        part[id_field] = np.array([name for name, _ in entries], dtype=object)[indices]
        part[value_field] = np.array([value for _, value in entries], dtype=object)[indices]
    part["published_split"] = _splits(files, where, validation_fold, len(part))
    return part


def _entries(path: Path, where: str) -> list[tuple[str, str]]:
    """Read a JSON object in order; an id that stands twice keeps both of its places."""
    entries = _json(path, where, object_pairs_hook=tuple)
    if not (
        isinstance(entries, tuple)
        and entries
        and all(isinstance(value, str) for pair in entries for value in pair)
    ):
        raise DataError(f"{where} is no JSON object that maps ids to text")
    return list(entries)


def _cells(path: Path, where: str, ligands: int, proteins: int) -> np.ndarray[Any, np.dtype[Any]]:
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) != ligands:
        raise DataError(f"{where} has {len(lines)} lines, but there are {ligands} ligands")
    for number, line in enumerate(lines, start=1):
        if len(line) != proteins:
            raise DataError(
                f"{where}: line {number} has {len(line)} values, but there are {proteins} proteins"
            )
    return np.array(lines)


def _splits(
    files: dict[str, Path], where: dict[str, str], validation_fold: int, cells: int
) -> np.ndarray[Any, np.dtype[Any]]:
    splits = np.full(cells, None, dtype=object)
    parts: list[tuple[str, str, Any]] = []
    if "train_folds" in files:
        folds = _json(files["train_folds"], where["train_folds"])
        if not isinstance(folds, list) or not 0 <= validation_fold < len(folds):
            count = len(folds) if isinstance(folds, list) else 0
            raise DataError(
                f"{where['train_folds']} holds {count} folds, so there is no fold "
                f"{validation_fold}; set validation_fold to 0 … {count - 1}"
            )
        for number, fold in enumerate(folds):
            parts.append(("train_folds", "val" if number == validation_fold else "train", fold))
    if "test_fold" in files:
        parts.append(("test_fold", "test", _json(files["test_fold"], where["test_fold"])))
    for role, split, positions in parts:
        _check_positions(positions, splits, where[role])
        splits[positions] = split
    return splits


def _check_positions(positions: Any, splits: np.ndarray[Any, np.dtype[Any]], where: str) -> None:
    if not isinstance(positions, list) or not all(type(value) is int for value in positions):
        raise DataError(f"{where}: a fold is no list of whole numbers")
    outside = [value for value in positions if not 0 <= value < len(splits)]
    if outside:
        raise DataError(
            f"{where} names position {outside[0]}, but only {len(splits)} cells are measured"
        )
    taken = [value for value in positions if splits[value] is not None]
    if taken or len(set(positions)) != len(positions):
        example = taken[0] if taken else max(positions, key=positions.count)
        raise DataError(f"{where}: position {example} stands in two folds")


def _json(path: Path, where: str, **options: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), **options)
    except ValueError as error:
        raise DataError(f"{where} is no valid JSON: {error}") from error
