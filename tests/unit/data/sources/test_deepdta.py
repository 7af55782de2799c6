"""The form of DeepDTA, matrix, ligands and proteins, as published and broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.dti.errors import DataError
from tests.support.raw_files import (
    ASPIRIN,
    BELOW_100_NM,
    CAFFEINE,
    INSULIN_A,
    UBIQUITIN,
    read,
)

MATRIX = {
    "affinity": "5.0\tnan\t10000\t\r\nnan\t7e1\t3,5\t\r\n",
    "ligands": json.dumps({"5291": ASPIRIN, "2519": CAFFEINE}),
    "proteins": json.dumps({"A": UBIQUITIN, "B": INSULIN_A, "C(mutant)": UBIQUITIN}),
}
FOLDS = {"train_folds": "[[3], [0]]", "test_fold": "[2]"}


def read_matrix(raw: Path, changes: dict[str, str] | None = None, **source: Any) -> pd.DataFrame:
    files = MATRIX | (changes or {})
    return read(raw, dict(files), ".txt", format="deepdta", label=BELOW_100_NM, **source)


def test_deepdta_reads_measured_cells_row_by_row(tmp_path: Path) -> None:
    records = read_matrix(tmp_path, FOLDS, validation_fold=1)
    assert records["drug_id"].tolist() == ["5291", "5291", "2519", "2519"]
    assert records["smiles"].tolist() == [ASPIRIN, ASPIRIN, CAFFEINE, CAFFEINE]
    assert records["target_id"].tolist() == ["A", "C(mutant)", "B", "C(mutant)"]
    assert records["sequence"].tolist() == [UBIQUITIN, UBIQUITIN, INSULIN_A, UBIQUITIN]
    assert records["affinity"].fillna(-1).tolist() == [5, 10000, 70, -1]
    assert records["affinity_text"].tolist() == [None, None, None, "3,5"]
    assert records["published_split"].tolist() == ["val", None, "test", "train"]
    assert records["source_row"].tolist() == [1, 2, 3, 4]


def test_deepdta_json_with_a_byte_order_mark(tmp_path: Path) -> None:
    records = read_matrix(tmp_path, {"ligands": "\ufeff" + MATRIX["ligands"]})
    assert records["drug_id"].tolist() == ["5291", "5291", "2519", "2519"]


def test_deepdta_separated_by_spaces_without_folds(tmp_path: Path) -> None:
    records = read_matrix(tmp_path, {"affinity": "5.0 nan 10000\nNaN 70 3\n"})
    assert records["affinity"].tolist() == [5, 10000, 70, 3]
    assert records["published_split"].tolist() == [None] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"affinity": "5 1 2\n"}, r"file affinity .*1 lines, but there are 2 ligands"),
        ({"affinity": "5 1 2\n5 1\n"}, "line 2 has 2 values, but there are 3 proteins"),
        ({"affinity": "nan nan nan\nnan nan nan\n"}, "no measured cell"),
        ({"ligands": "{"}, "file ligands .*no valid JSON"),
        ({"ligands": '["CCO"]'}, "no JSON object that maps ids to text"),
        ({"proteins": '{"A": 5}'}, "no JSON object that maps ids to text"),
        ({"test_fold": "[4]"}, "file test_fold .*position 4, but only 4 cells are measured"),
        ({"test_fold": "[-1]"}, "position -1"),
        ({"test_fold": "[0, 0]"}, "position 0 stands in two folds"),
        ({"test_fold": "[0]", "train_folds": "[[1], [0]]"}, "position 0 stands in two folds"),
        ({"test_fold": '"all"'}, "no list of whole numbers"),
        ({"train_folds": "[]"}, "holds 0 folds, so there is no fold 0"),
    ],
)
def test_deepdta_files_that_do_not_fit(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_matrix(tmp_path, changes)
