"""Pairs and tables, read from files as they are published, and from broken ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.dti.config.base import build
from stages.dti.config.dataset import DatasetConfig
from stages.dti.data.sources.formats import RECORD_COLUMNS, read_records
from stages.dti.errors import ConfigError, DataError
from tests.support.raw_files import (
    ASPIRIN,
    BELOW_100_NM,
    CAFFEINE,
    GIVEN,
    INSULIN_A,
    UBIQUITIN,
    read,
)


def test_pairs_with_given_labels(tmp_path: Path) -> None:
    text = (
        ",DrugBank ID,Gene,Label,SMILES,Target Sequence\n"
        f"0,DB00945,P62979,1.0,{ASPIRIN},{UBIQUITIN}\n"
        f"1,DB00201,,maybe, {CAFFEINE} ,\n"
        f"2,DB00201,P01308,,,{INSULIN_A}\n"
    )
    columns = {
        "smiles": "SMILES",
        "sequence": "Target Sequence",
        "drug_id": "DrugBank ID",
        "target_id": "Gene",
        "label": "Label",
    }
    records = read(tmp_path, {"pairs": text}, columns=columns)
    assert tuple(records.columns) == RECORD_COLUMNS
    assert records["source"].tolist() == ["mine"] * 3
    assert records["file"].tolist() == ["pairs.csv"] * 3
    assert records["source_row"].tolist() == [1, 2, 3]
    assert records["smiles"].tolist() == [ASPIRIN, CAFFEINE, None]
    assert records["sequence"].tolist() == [UBIQUITIN, None, INSULIN_A]
    assert records["target_id"].tolist() == ["P62979", None, "P01308"]
    assert records["label"].fillna(-1).tolist() == [1, -1, -1]
    assert records["label_text"].tolist() == [None, "maybe", None]
    assert records["affinity"].isna().all()
    assert records["published_split"].tolist() == [None] * 3
    assert records["refusal"].tolist() == [None] * 3


def test_pairs_with_affinities_relations_and_split(tmp_path: Path) -> None:
    text = (
        "smiles\tsequence\tKd\tsign\tpart\n"
        f"{ASPIRIN}\t{UBIQUITIN}\t12.5\t\ttrain\n"
        f"{ASPIRIN}\t{UBIQUITIN}\t>10000\t\tvalid\n"
        f"{ASPIRIN}\t{UBIQUITIN}\t50\t'<'\tTest\n"
        f"{ASPIRIN}\t{UBIQUITIN}\tno binding\t\t\n"
        f"{ASPIRIN}\t{UBIQUITIN}\t\t=\t\n"
        f"{ASPIRIN}\t{UBIQUITIN}\tinf\t\t\n"
        f"{ASPIRIN}\t{UBIQUITIN}\t7\tabout\t\n"
    )
    columns = {"affinity": "Kd", "relation": "sign", "split": "part"}
    records = read(tmp_path, {"pairs": text}, columns=columns, label=BELOW_100_NM)
    assert records["affinity"].fillna(-1).tolist() == [12.5, 10000, 50, -1, -1, -1, -1]
    assert records["relation"].tolist() == ["=", ">", "<", "=", "=", "=", "="]
    assert records["affinity_text"].tolist() == [None] * 3 + [
        "no binding",
        None,
        "inf",
        "about 7",
    ]
    assert records["published_split"].tolist() == ["train", "val", "test"] + [None] * 4


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val", "val"),
        ("valid", "val"),
        ("VALIDATION", "val"),
        ("dev", "val"),
        ("test", "test"),
    ],
)
def test_names_of_published_parts(tmp_path: Path, written: str, part: str) -> None:
    text = f"smiles,sequence,label,fold\n{ASPIRIN},{UBIQUITIN},1,{written}\n"
    records = read(tmp_path, {"pairs": text}, columns={"label": "label", "split": "fold"})
    assert records["published_split"].tolist() == [part]


def test_parquet_with_two_columns_of_one_name(tmp_path: Path) -> None:
    names = ["smiles", "sequence", "label", "label"]
    columns = [pa.array([text]) for text in (ASPIRIN, UBIQUITIN, "1", "0")]
    pq.write_table(pa.Table.from_arrays(columns, names=names), tmp_path / "table.parquet")
    content = (tmp_path / "table.parquet").read_bytes()
    with pytest.raises(DataError, match="2 columns 'label'"):
        read(tmp_path, {"pairs": content}, ".parquet", columns={"label": "label"})


def test_every_compression_is_known_by_its_content(tmp_path: Path) -> None:
    text = f"smiles,sequence,label\n{ASPIRIN},{UBIQUITIN},1\n".encode("utf-8-sig")
    for content in (gzip.compress(text), bz2.compress(text), lzma.compress(text), text):
        records = read(tmp_path, {"pairs": content}, suffix="", columns={"label": "label"})
        assert records["smiles"].tolist() == [ASPIRIN]


def test_one_file_per_split(tmp_path: Path) -> None:
    header = "SMILES,Protein,Y\n"
    files = {
        "test": f"{header}{CAFFEINE},{UBIQUITIN},0\n",
        "train": f"{header}{ASPIRIN},{UBIQUITIN},1\n{ASPIRIN},{INSULIN_A},0\n",
    }
    columns = {"smiles": "SMILES", "sequence": "Protein", "label": "Y"}
    records = read(tmp_path, files, columns=columns)
    assert records["published_split"].tolist() == ["train", "train", "test"]
    assert records["file"].tolist() == ["train.csv", "train.csv", "test.csv"]
    assert records["source_row"].tolist() == [1, 2, 1]


def test_compressed_and_parquet_files_are_known_by_their_content(tmp_path: Path) -> None:
    columns = {"label": "y"}
    table = pd.DataFrame({"smiles": [ASPIRIN], "sequence": [UBIQUITIN], "y": [1]})
    expected = [ASPIRIN, UBIQUITIN, 1.0]
    table.to_parquet(tmp_path / "table.parquet")
    for content in (
        gzip.compress(table.to_csv(index=False, sep=";").encode("utf-8-sig")),
        (tmp_path / "table.parquet").read_bytes(),
    ):
        records = read(tmp_path, {"pairs": content}, suffix="", columns=columns)
        assert records.loc[0, ["smiles", "sequence", "label"]].tolist() == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"SMILES,sequence,label\n{ASPIRIN},M,1\n", "no column 'smiles'; did you mean 'SMILES'"),
        ("smiles,sequence,label\n", "holds a header but no row"),
        ("hello\nworld\n", "no table: its first line, 'hello', has no tab, comma or semicolon"),
        (f"smiles,sequence,label\n{ASPIRIN},M,1\n{ASPIRIN},M,1,5\n", "Expected 3 fields in line 3"),
        (f"smiles,sequence,label\n{ASPIRIN},M,1,5\n", "cannot be read as a table"),
        (
            f"smiles,sequence,label,label\n{ASPIRIN},M,1,0\n",
            "2 columns 'label', and which of them is meant is not said",
        ),
        (f"\ufefflabel,smiles,sequence,label\n1,{ASPIRIN},M,1\n", "2 columns 'label'"),
        (f'smiles,"label",sequence, label\n{ASPIRIN},M,1,0\n', "2 columns 'label'"),
        (b"smiles,sequence,label\n\xff\xfe,M,1\n", "not UTF-8 text"),
        (b"PAR1 and nothing else", "cannot be read as a table"),
        (b"\x1f\x8b and nothing else", "cannot be read as a table"),
    ],
)
def test_malformed_tables_name_file_and_fault(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, {"pairs": content}, columns={"label": "label"})
    assert "mine: file pairs (data/pairs.csv)" in str(caught.value)


def test_unknown_split_name_is_an_error(tmp_path: Path) -> None:
    text = f"smiles,sequence,label,fold\n{ASPIRIN},{UBIQUITIN},1,fold3\n"
    with pytest.raises(DataError, match="column 'fold' holds 'fold3'; a published split is train"):
        read(tmp_path, {"pairs": text}, columns={"label": "label", "split": "fold"})


def test_tables_are_joined_and_unknown_ids_kept(tmp_path: Path) -> None:
    files = {
        "drugs": f"drug,smiles\nD1,{ASPIRIN}\nD1,{ASPIRIN}\nD2,{CAFFEINE}\n",
        "targets": f"target,sequence,species\nT1,{UBIQUITIN},human\n",
        "interactions": "drug,target,y\nD2,T1,1\nD3,T1,0\nD1,T9,1\n",
    }
    columns = {"drug_id": "drug", "target_id": "target", "label": "y", "organism": "species"}
    records = read(tmp_path, files, format="tables", columns=columns)
    assert records["smiles"].tolist() == [CAFFEINE, None, ASPIRIN]
    assert records["sequence"].tolist() == [UBIQUITIN, UBIQUITIN, None]
    assert records["organism"].tolist() == ["human", "human", None]
    assert records["file"].unique().tolist() == ["interactions.csv"]


def test_an_id_for_two_drugs_is_an_error(tmp_path: Path) -> None:
    files = {
        "drugs": f"drug_id,smiles\nD1,{ASPIRIN}\nD1,{CAFFEINE}\n",
        "targets": f"target_id,sequence\nT1,{UBIQUITIN}\n",
        "interactions": "drug_id,target_id,y\nD1,T1,1\n",
    }
    columns = {"drug_id": "drug_id", "target_id": "target_id", "label": "y"}
    with pytest.raises(DataError, match=r"file drugs .*drug_id 'D1' stands in several rows"):
        read(tmp_path, files, format="tables", columns=columns)


def test_source_or_file_that_was_not_acquired(tmp_path: Path) -> None:
    dataset = build(
        DatasetConfig,
        {"sources": {"human": {"format": "pairs", "files": {"pairs": {"url": "a.csv"}}}
         | {"columns": {"label": "y"}, "label": GIVEN}}},
        "dataset",
    )  # fmt: skip
    with pytest.raises(DataError, match=r"no manifest\.json; run `dvc repro acquire`"):
        read_records(dataset, tmp_path)
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"sample": {}}', encoding="utf-8")
    with pytest.raises(DataError, match="holds sample, not the source 'human'"):
        read_records(dataset, tmp_path)
    manifest.write_text('{"human": {}}', encoding="utf-8")
    with pytest.raises(DataError, match="lacks the file 'pairs' of the source 'human'"):
        read_records(dataset, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"files": {}}, "needs the file 'pairs', and it is not given"),
        ({"files": {"pairs": {"url": None, "sha256": None}}}, "needs the file 'pairs'"),
        ({"files": {"pair": {"url": "a"}}}, "no file 'pair'; did you mean 'pairs'"),
        ({"files": {"train": {"url": "a"}}}, "needs the file 'test'"),
        (
            {"files": {"pairs": {"url": "a"}, "test": {"url": "b"}}},
            "either the file 'pairs' or one file per split",
        ),
        ({"format": "deepdta"}, "no file 'pairs'"),
        ({"columns": {"label": None}}, "columns.label is needed"),
        ({"label": BELOW_100_NM}, "columns.affinity is needed"),
        ({"columns": {"label": "y", "affinity": "Kd"}}, "not used by label.rule 'given'"),
        ({"label": {"rule": "given", "unit": "nM"}}, "rule 'given' takes no unit"),
        ({"label": {"rule": "threshold", "unit": "nM"}}, "rule 'threshold' needs unit, stronger"),
        (
            {"label": BELOW_100_NM | {"stronger": "higher", "unit": "score"}},
            "positive_threshold must be at least as strong",
        ),
        ({"label": BELOW_100_NM | {"stronger": "higher"}}, "in nM the lower value is the stronger"),
        ({"label": BELOW_100_NM | {"unit": "nmol/L"}}, "'nmol/L' is unknown; did you mean 'nM'"),
        ({"label": BELOW_100_NM | {"unit": "nm"}}, "unit 'nm' is unknown; did you mean 'nM'"),
        ({"label": BELOW_100_NM | {"unit": "mol/L"}}, "'mol/L' is unknown; did you mean 'M'"),
        ({"label": BELOW_100_NM | {"unit": "kiba scores"}}, "unknown; did you mean 'KIBA score'"),
        ({"label": BELOW_100_NM | {"unit": "bananas"}}, "'bananas' is unknown; expected one of %"),
        ({"label": BELOW_100_NM | {"positive_threshold": 0}}, "both thresholds must be above 0"),
        ({"measurements": ["KD"]}, "measurements"),
    ],
)
def test_configuration_that_contradicts_itself(change: dict[str, Any], message: str) -> None:
    source = {
        "format": "pairs",
        "files": {"pairs": {"url": "a.csv"}},
        "columns": {"label": "y"},
        "label": GIVEN,
    }
    with pytest.raises(ConfigError, match=message):
        build(DatasetConfig, {"sources": {"mine": source | change}}, "dataset")


def test_source_names_are_file_names() -> None:
    source = {"format": "pairs", "files": {"pairs": {"url": "a"}}, "label": GIVEN}
    with pytest.raises(ConfigError, match="should match pattern"):
        build(DatasetConfig, {"sources": {"../up": source}}, "dataset")
