"""The dump of BindingDB, as published and broken."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from stages.dti.data.sources.bindingdb import MULTICHAIN_TARGET
from stages.dti.errors import DataError
from tests.support.raw_files import (
    ASPIRIN,
    BELOW_100_NM,
    CHAIN,
    INSULIN_A,
    UBIQUITIN,
    dump,
    dump_row,
    read,
)


def read_dump(raw: Path, content: str | bytes, **source: Any) -> pd.DataFrame:
    return read(
        raw,
        {"dump": content},
        ".tsv",
        format="bindingdb_dump",
        label=BELOW_100_NM,
        **source,
    )


def test_bindingdb_dump_takes_the_preferred_measurement(tmp_path: Path) -> None:
    rows = [
        dump_row(ki="3", ic50="20", kd=" >10000"),
        dump_row(ki="<0.5", ic50="20"),
        dump_row(ec50="9"),
        dump_row(ic50="n.d."),
    ]
    records = read_dump(tmp_path, dump(*rows))
    assert records["affinity"].fillna(-1).tolist() == [10000, 0.5, -1, -1]
    assert records["relation"].tolist() == [">", "<", "=", "="]
    assert records["affinity_text"].tolist() == [None, None, None, "n.d."]
    first = records.iloc[0]
    assert first["smiles"] == ASPIRIN
    assert first["sequence"] == UBIQUITIN
    assert (first["drug_id"], first["target_id"]) == ("22360", "P62979")
    # A quotation mark at the beginning quotes nothing.
    assert (first["target_name"], first["organism"]) == ('"Poly"ubiquitin', "Homo sapiens")
    assert first["drug_name"] == "aspirin"

    other = read_dump(tmp_path, dump(*rows), measurements=["EC50", "IC50"])
    assert other["affinity"].fillna(-1).tolist() == [20, 20, 9, -1]


def test_bindingdb_dump_takes_the_preferred_ids(tmp_path: Path) -> None:
    trembl = "UniProt (TrEMBL) Primary ID of Target Chain"
    chains = [CHAIN[0], trembl, CHAIN[1]]
    rows = [
        dump_row(kd="5", last=[UBIQUITIN, "A0A0", "P62979"]),
        dump_row(kd="5", last=[UBIQUITIN, "A0A0", ""]),
    ]
    text = dump(*rows, chains=chains).replace("Ki (nM)", "PubChem CID", 1)
    text = text.replace("\t\t\t5", "\t2244\t\t5", 1)
    records = read_dump(tmp_path, text, measurements=["Kd"])
    assert records["target_id"].tolist() == ["P62979", "A0A0"]
    assert records["drug_id"].tolist() == ["22360", "22360"]
    without = text.replace("22360", "", 1)
    assert read_dump(tmp_path, without, measurements=["Kd"])["drug_id"][0] == "2244"


@pytest.mark.parametrize(
    "chains",
    [
        CHAIN * 2,  # releases until 2023 repeat the names
        ["BindingDB Target Chain  Sequence", CHAIN[1]] * 2,
        [f"{name} {number}" for number in (1, 2) for name in CHAIN],  # later ones number them
    ],
)
def test_bindingdb_dump_refuses_targets_of_several_chains(
    tmp_path: Path, chains: list[str]
) -> None:
    rows = [
        dump_row(kd="5", last=[UBIQUITIN, "P62979", "", ""]),
        dump_row(kd="5", last=[UBIQUITIN, "P62979", INSULIN_A, "P01308"]),
        dump_row(kd="5", chains="2", last=[UBIQUITIN, "P62979", "", ""]),
        dump_row(kd="5", chains="3", last=[UBIQUITIN, "P62979", "", "", INSULIN_A, "P01308"]),
    ]
    records = read_dump(tmp_path, dump(*rows, chains=chains))
    assert records["refusal"].tolist() == [None] + [MULTICHAIN_TARGET] * 3
    assert records["sequence"].tolist() == [UBIQUITIN] * 4
    assert records["target_id"].tolist() == ["P62979"] * 4


def test_bindingdb_dump_is_read_in_pieces_and_zipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.dti.data.sources.bindingdb._CHUNK_ROWS", 2)
    rows = [dump_row(kd=str(number)) for number in range(1, 6)]
    with zipfile.ZipFile(tmp_path / "dump.zip", "w") as archive:
        archive.writestr("BindingDB_All.tsv", dump(*rows))
    records = read_dump(tmp_path, (tmp_path / "dump.zip").read_bytes())
    assert records["affinity"].tolist() == [1, 2, 3, 4, 5]
    assert records["source_row"].tolist() == [1, 2, 3, 4, 5]


def test_bindingdb_dump_without_its_columns(tmp_path: Path) -> None:
    text = dump(dump_row(kd="5")).replace("Ligand SMILES", "Ligand_SMILES", 1)
    with pytest.raises(DataError, match="no column 'Ligand SMILES'; did you mean 'Ligand_SMILES'"):
        read_dump(tmp_path, text)
    with pytest.raises(DataError, match="holds a header but no row"):
        read_dump(tmp_path, dump())
