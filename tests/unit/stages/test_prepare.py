"""The stage `prepare` on files: what it writes, column by column, on the sample and public sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from rdkit import Chem, rdBase

from stages.dti.errors import DataError
from stages.dti.paths import PREPARE_METRICS, ROOT
from tests.support.prepared_sets import INTERIM, metrics, prepare


def inchi(smiles: str) -> str:
    with rdBase.BlockLogs():
        return str(Chem.MolToInchi(Chem.MolFromSmiles(smiles)))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    prepare(folder)
    return folder


def test_the_sample_against_its_own_files(sample: Path) -> None:
    tables = {path.stem: pd.read_parquet(sample / path) for path in INTERIM}
    drugs, targets, pairs = tables["drugs"], tables["targets"], tables["interactions"]
    published = pd.read_csv(ROOT / "data/sample/interactions.csv")
    smiles = pd.read_csv(ROOT / "data/sample/drugs.csv").set_index("drug_id")["smiles"]
    sequences = pd.read_csv(ROOT / "data/sample/targets.csv").set_index("target_id")["sequence"]
    joined = pairs.merge(drugs, on="drug_key").merge(targets, on="target_key")
    assert joined["drug_id"].tolist() == published["drug_id"].tolist()
    assert joined["target_id"].tolist() == published["target_id"].tolist()
    assert joined["affinity"].tolist() == published["affinity"].tolist()
    assert joined["label"].tolist() == (published["affinity"] >= 12.1).astype(int).tolist()
    assert joined["published_split"].tolist() == published["cold_split"].tolist()
    assert joined["sequence"].tolist() == sequences[published["target_id"]].tolist()
    assert set(joined["affinity_unit"]) == {"KIBA score"}
    assert set(joined["source"]) == {"kiba_sample"}
    # By the InChI, an independent name of a molecule, only salts have changed.
    for name, ours in zip(drugs["drug_id"], drugs["smiles"], strict=True):
        same = inchi(ours) == inchi(smiles[name])
        assert same == ("." not in smiles[name])
    assert len(tables["rejected"]) == 0
    assert metrics(sample)["rows_read"] == 5000
    assert metrics(sample)["positives"] == 842


def test_columns_and_types(sample: Path) -> None:
    found = {
        path.stem: {field.name: str(field.type) for field in pq.read_schema(sample / path)}
        for path in INTERIM
    }
    text = "string"
    assert found == {
        "drugs": {
            "drug_key": text,
            "drug_id": text,
            "drug_name": text,
            "smiles": text,
            "heavy_atoms": "int32",
        },
        "targets": {
            "target_key": text,
            "target_id": text,
            "sequence": text,
            "residues": "int32",
            "target_name": text,
            "organism": text,
            "target_class": text,
        },
        "interactions": {
            "drug_key": text,
            "target_key": text,
            "label": "int8",
            "affinity": "double",
            "affinity_relation": text,
            "affinity_unit": text,
            "source": text,
            "source_rows": "int32",
            "published_split": text,
        },
        "rejected": {
            "source": text,
            "file": text,
            "source_row": "int64",
            "drug_id": text,
            "target_id": text,
            "smiles": text,
            "sequence": text,
            "affinity_text": text,
            "label_text": text,
            "reason": text,
            "detail": text,
        },
    }


def test_two_runs_give_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    prepare(tmp_path)
    for path in (*INTERIM, PREPARE_METRICS):
        assert (tmp_path / path).read_bytes() == (sample / path).read_bytes()


def test_bad_rows_of_a_file_are_rejected_with_their_reasons(tmp_path: Path) -> None:
    sequence = "MKTAYIAKQRQISFVKSHFSRQ"
    rows = [
        f"CCO,{sequence},50",
        f"OCC,{sequence},70",
        f"C1CC,{sequence},50",
        f"CCN,{sequence},strong",
        f"CCN,{sequence},",
        f"CCN,{sequence},>50",
        "CCN,MKTA,50",
        ",,50",
    ]
    (tmp_path / "my.csv").write_text("\n".join(["smiles,sequence,Kd", *rows]), encoding="utf-8")
    custom = "dataset.sources.custom"
    tables = prepare(
        tmp_path,
        "dataset=custom",
        f"{custom}.files.pairs.url=my.csv",
        f"{custom}.columns.affinity=Kd",
        f"{custom}.label.rule=threshold",
        f"{custom}.label.unit=nM",
        f"{custom}.label.stronger=lower",
        f"{custom}.label.positive_threshold=100",
        f"{custom}.label.negative_threshold=10000",
        inputs=tmp_path,
    )
    assert tables["interactions"]["affinity"].tolist() == [60]
    assert tables["interactions"]["source_rows"].tolist() == [2]
    rejected = tables["rejected"]
    assert rejected["source_row"].tolist() == [3, 4, 5, 6, 7, 8]
    assert rejected["reason"].tolist() == [
        "invalid_smiles",
        "invalid_affinity",
        "missing_affinity",
        "undecided_affinity",
        "invalid_sequence",
        "missing_smiles",
    ]
    assert rejected["affinity_text"].tolist() == ["50", "strong", None, ">50", "50", "50"]


def test_nothing_is_written_if_no_row_is_left(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("smiles,sequence,label\nC1CC,MKTA,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="not one of 1 rows can be used: 1 × invalid_smiles"):
        prepare(
            tmp_path,
            "dataset=custom",
            "dataset.sources.custom.files.pairs.url=my.csv",
            inputs=tmp_path,
        )
    assert not (tmp_path / "data" / "interim").exists()


@pytest.mark.parametrize(
    ("option", "pairs", "drugs", "targets"),
    [("human", 5992, 2643, 2001), ("kiba", 118254, 2111, 229)],
)
def test_public_sets(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mirror: Path,
    option: str,
    pairs: int,
    drugs: int,
    targets: int,
) -> None:
    monkeypatch.setenv("DTI_MIRROR", str(mirror))
    tables = prepare(tmp_path, f"dataset={option}")
    interactions = tables["interactions"]
    assert (len(interactions), len(tables["drugs"]), len(tables["targets"])) == (
        pairs,
        drugs,
        targets,
    )
    assert not interactions[["drug_key", "target_key"]].duplicated().any()
    read = int(interactions["source_rows"].sum()) + len(tables["rejected"])
    assert read == metrics(tmp_path)["rows_read"]
    if option == "kiba":  # against the matrix, read independently
        folder = mirror / "hkmztrk/DeepDTA/master/data/kiba"
        text = (folder / "kiba_binding_affinity_v2.txt").read_text()
        scores = np.array([float(cell) for cell in text.split() if cell != "nan"])
        assert interactions["affinity"].tolist() == scores.tolist()
        assert int(interactions["label"].sum()) == int((scores >= 12.1).sum())
        test = json.loads((folder / "folds/test_fold_setting1.txt").read_text())
        assert np.flatnonzero(interactions["published_split"] == "test").tolist() == sorted(test)
    else:  # five pairs stand in two published parts
        counts = interactions["published_split"].value_counts().to_dict()
        assert counts == {
            "train": 4193, "val": 598, "test": 1196, "test+train": 3, "test+val": 1, "val+train": 1,
        }  # fmt: skip
        assert metrics(tmp_path)["published_split_conflicts"] == 5
