"""The public sets' own configurations, on a few rows of their own form: no mirror is needed."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest

from stages.dti.runtime.compose import compose
from tests.support.prepared_sets import metrics, prepare
from tests.support.raw_files import ASPIRIN, CAFFEINE, INSULIN_A, UBIQUITIN, dump, dump_row

GEFITINIB = "COc1cc2ncnc(Nc3ccc(F)c(Cl)c3)c2cc1OCCCN1CCOCC1"


def published(
    folder: Path, monkeypatch: pytest.MonkeyPatch, option: str, files: dict[str, str]
) -> dict[str, pd.DataFrame]:
    """Write files where the configuration's URLs will find them, then acquire and prepare them."""
    (source,) = compose([f"dataset={option}"])["dataset"]["sources"].values()
    unpinned = []
    for role, content in files.items():
        path = folder / "mirror" / urlsplit(source["files"][role]["url"]).path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        if source["files"][role].get("sha256"):
            unpinned.append(f"dataset.sources.{option}.files.{role}.sha256=null")
    monkeypatch.setenv("DTI_MIRROR", str(folder / "mirror"))
    return prepare(folder, f"dataset={option}", *unpinned)


def joined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return tables["interactions"].merge(tables["drugs"]).merge(tables["targets"], on="target_key")


def test_biosnap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = ",DrugBank ID,Gene,Label,SMILES,Target Sequence\n"
    tables = published(
        tmp_path,
        monkeypatch,
        "biosnap",
        {
            "train": f"{header}0,DB00945,P0CG48,1.0,{ASPIRIN},{UBIQUITIN}\n"
            f"7,DB00201,P01308,0.0,{CAFFEINE},{INSULIN_A}\n",
            "val": f"{header}0,DB00945,P01308,0.0,{ASPIRIN},{INSULIN_A}\n",
            "test": f"{header}0,DB00201,P0CG48,1.0,{CAFFEINE},{UBIQUITIN}\n"
            f"1,DB00317,P0CG48,2.0,{GEFITINIB},{UBIQUITIN}\n",
        },
    )
    pairs = joined(tables)
    columns = ["drug_id", "target_id", "label", "published_split", "smiles", "sequence"]
    assert pairs[columns].values.tolist() == [
        ["DB00945", "P0CG48", 1, "train", ASPIRIN, UBIQUITIN],
        ["DB00201", "P01308", 0, "train", CAFFEINE, INSULIN_A],
        ["DB00945", "P01308", 0, "val", ASPIRIN, INSULIN_A],
        ["DB00201", "P0CG48", 1, "test", CAFFEINE, UBIQUITIN],
    ]
    assert pairs["affinity"].isna().all()
    rejected = tables["rejected"]
    assert rejected[["file", "source_row", "reason"]].values.tolist() == [
        ["test.csv", 2, "invalid_label"]
    ]


@pytest.mark.parametrize("option", ["human", "bindingdb"])
def test_drugban_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    header = "SMILES,Protein,Y\n"
    tables = published(
        tmp_path,
        monkeypatch,
        option,
        {
            "train": f"{header}{ASPIRIN},{UBIQUITIN},1\n{CAFFEINE},{UBIQUITIN},0\n",
            "val": f"{header}{ASPIRIN},{INSULIN_A},0\n",
            "test": f"{header}{CAFFEINE},{INSULIN_A},1.0\n{ASPIRIN},{UBIQUITIN},1\n",
        },
    )
    pairs = joined(tables)
    assert pairs[["smiles", "sequence", "label", "published_split"]].values.tolist() == [
        [ASPIRIN, UBIQUITIN, 1, "test+train"],
        [CAFFEINE, UBIQUITIN, 0, "train"],
        [ASPIRIN, INSULIN_A, 0, "val"],
        [CAFFEINE, INSULIN_A, 1, "test"],
    ]
    assert metrics(tmp_path)["published_split_conflicts"] == 1
    assert pairs["drug_id"].str.fullmatch("D[0-9a-f]{16}").all()  # it has no ids of its own


def test_kiba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = published(
        tmp_path,
        monkeypatch,
        "kiba",
        {
            "affinity": "11.1\tnan\t12.1\nnan\t12.0999\t14.2\nnan\tnan\t-0.5\n",
            "ligands": json.dumps({"CHEMBL25": ASPIRIN, "CHEMBL113": CAFFEINE, "CHEMBL939": "CCO"}),
            "proteins": json.dumps({"P1": UBIQUITIN, "P2": INSULIN_A, "P3": UBIQUITIN[::-1]}),
            # Positions among the five measured cells, row by row.
            "train_folds": "[[0], [1], [4]]",
            "test_fold": "[2, 3]",
        },
    )
    pairs = joined(tables)
    columns = ["drug_id", "target_id", "affinity", "label", "published_split"]
    assert pairs[columns].values.tolist() == [
        ["CHEMBL25", "P1", 11.1, 0, "val"],
        ["CHEMBL25", "P3", 12.1, 1, "train"],
        ["CHEMBL113", "P2", 12.0999, 0, "test"],
        ["CHEMBL113", "P3", 14.2, 1, "test"],
        ["CHEMBL939", "P3", -0.5, 0, "train"],
    ]
    assert set(pairs["affinity_unit"]) == {"KIBA score"}


def test_davis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = published(
        tmp_path,
        monkeypatch,
        "davis",
        {
            "affinity": "29.9 30.0 10000.0\n0 5 40\n",
            "ligands": json.dumps({"5291": ASPIRIN, "2519": CAFFEINE}),
            "proteins": json.dumps(
                {"AAK1": UBIQUITIN, "ABL1": INSULIN_A, "ABL1(T315I)": INSULIN_A}
            ),
            "train_folds": "[[0, 1], [2, 3]]",
            "test_fold": "[4, 5]",
        },
    )
    pairs = joined(tables)
    assert pairs[["drug_id", "target_id", "affinity", "label"]].values.tolist() == [
        ["5291", "AAK1", 29.9, 1],
        ["5291", "ABL1", 5015.0, 0],  # the mutant has the same sequence: the median of both
        ["2519", "ABL1", 22.5, 1],
    ]
    assert tables["rejected"]["reason"].tolist() == ["invalid_affinity"]


def test_bindingdb_dump(tmp_path: Path) -> None:
    mutant = INSULIN_A[:-1] + "D"
    rows = [
        dump_row(kd="50"),
        dump_row(ki="20000", last=[INSULIN_A, "P01308"]),
        dump_row(ic50=">50", last=[mutant, "P01308"]),
        dump_row(kd="5", chains="2"),
        dump_row(kd="1", last=[mutant, "P01308"]),
    ]
    (tmp_path / "BindingDB_All.tsv").write_text(dump(*rows), encoding="utf-8")
    tables = prepare(
        tmp_path,
        "dataset=bindingdb_dump",
        "dataset.sources.bindingdb_dump.files.dump.url=BindingDB_All.tsv",
        inputs=tmp_path,
    )
    pairs = joined(tables)
    assert pairs[["drug_id", "affinity", "label"]].values.tolist() == [
        ["22360", 50, 1],
        ["22360", 20000, 0],
        ["22360", 1, 1],
    ]
    wild, changed = pairs["target_id"][1:]
    assert pairs["target_id"][0] == "P62979"
    assert wild.startswith("P01308~T")
    assert changed.startswith("P01308~T")
    assert wild != changed
    assert tables["rejected"]["reason"].tolist() == ["multichain_target"]
    assert set(pairs["organism"]) == {"Homo sapiens"}
