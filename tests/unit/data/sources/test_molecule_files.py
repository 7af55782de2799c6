"""SMILES files, FASTA and SDF: every record keeps its place, its ids and names."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem.rdDepictor import Compute2DCoords

from stages.dti.chemistry.standardise import standardise_smiles
from stages.dti.config.base import build
from stages.dti.config.dataset import DatasetConfig
from stages.dti.data.sources.formats import INVALID_TEXT, UNREADABLE_RECORD, read_records
from stages.dti.data.sources.molecule_files import UNREADABLE
from stages.dti.data.sources.tables import read_table
from stages.dti.errors import DataError
from tests.support.prepared_tables import STANDARDISE
from tests.support.raw_files import ASPIRIN, CAFFEINE, INSULIN_A, UBIQUITIN, read


def table_of(folder: Path, name: str, content: str | bytes) -> pd.DataFrame:
    """Write a file and read it, compressed where its name says so."""
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return read_table(folder / name)


SMI = (
    "# a comment\n"
    f"{ASPIRIN}\tDB00945\tacetylsalicylic acid\r\n"
    f"{CAFFEINE}  two words \n"
    "\n"
    "C[C@H](O)F |&1:1,r| mixture\n"
    "C1CC\n"
)


@pytest.mark.parametrize("name", ["a.smi", "A.SMILES", "a.smi.gz"])
@pytest.mark.parametrize("header", ["", "SMILES name\n"])
def test_smiles_files(tmp_path: Path, name: str, header: str) -> None:
    table = table_of(tmp_path, name, header + SMI)
    assert table[["smiles", "drug_id", "drug_name"]].values.tolist() == [
        [ASPIRIN, "DB00945", "acetylsalicylic acid"],
        [CAFFEINE, "two words", None],
        ["C[C@H](O)F |&1:1,r|", "mixture", None],
        ["C1CC", None, None],
    ]
    assert table[UNREADABLE].isna().all()


FASTA = (
    ">sp|P0CG48|UBC_HUMAN Polyubiquitin-C OS=Homo sapiens OX=9606 GN=UBC PE=1 SV=3\n"
    f"{UBIQUITIN[:40]}\n{UBIQUITIN[40:]}\n"
    ">tr|Q9XYZ1|Q9XYZ1_MOUSE Some protein OS=Mus musculus OX=10090 PE=4 SV=1\n"
    f"{INSULIN_A}\n"
    ">mine my own kinase\r\n"
    f"{INSULIN_A.lower()}*\r\n"
    ">empty\n"
)


@pytest.mark.parametrize("name", ["a.fasta", "a.fa", "a.faa.gz"])
def test_fasta_files(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        table = table_of(tmp_path, name, FASTA)
    columns = ["target_id", "target_name", "description", "organism", "sequence"]
    assert table[columns].values.tolist() == [
        ["P0CG48", "UBC", "Polyubiquitin-C", "Homo sapiens", UBIQUITIN],
        ["Q9XYZ1", "Some protein", "Some protein", "Mus musculus", INSULIN_A],
        ["mine", "my own kinase", "my own kinase", None, INSULIN_A.lower() + "*"],
        ["empty", None, None, None, None],
    ]
    assert table[UNREADABLE].tolist()[:3] == [None] * 3
    assert "header but no sequence" in table[UNREADABLE].iloc[3]
    assert "1 of 4 records cannot be read; the first is record 4" in caplog.text


def block(smiles: str, title: str, flat: bool = True, **properties: str) -> str:
    molecule = Chem.MolFromSmiles(smiles)
    if flat:
        Compute2DCoords(molecule)
    molecule.SetProp("_Name", title)
    text = Chem.MolToMolBlock(molecule)
    for name, value in properties.items():
        text += f">  <{name}>\n{value}\n\n"
    return text


SDF = (
    block(ASPIRIN, "DB00945", Kd="12.5", drug_name="aspirin")
    + "$$$$\n"
    + "broken\n\n\nno counts line\nM  END\n>  <Kd>\n3\n\n$$$$\n"
    + block("C[C@H](O)C(=O)/C=C/F", "chiral", Kd="7")
    + "$$$$\n"
    + block("C[C@H](O)F", "", label="x").replace("\n", "\r\n")
    + "$$$$\r\n"
    + "empty\n     RDKit          2D\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n$$$$\n"
)


@pytest.mark.parametrize("name", ["a.sdf", "a.SDF.gz"])
def test_sdf_files(tmp_path: Path, name: str) -> None:
    table = table_of(tmp_path, name, SDF)
    assert table["drug_id"].tolist() == ["DB00945", "broken", "chiral", None, "empty"]
    assert table["drug_name"].tolist()[0] == "aspirin"
    assert table["Kd"].tolist() == ["12.5", None, "7", None, None]
    assert table[UNREADABLE].tolist() == [
        None,
        "RDKit cannot read the mol block",
        None,
        None,
        "the mol block holds no atom",
    ]
    read_ones = [standardise_smiles(table["smiles"][row], STANDARDISE) for row in (0, 2, 3)]
    wanted = [ASPIRIN, "C[C@H](O)C(=O)/C=C/F", "C[C@H](O)F"]
    assert read_ones == [standardise_smiles(smiles, STANDARDISE) for smiles in wanted]


def test_a_mol_file_is_one_record(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a.mol", block(CAFFEINE, "caffeine"))
    assert table["drug_id"].tolist() == ["caffeine"]
    assert standardise_smiles(table["smiles"][0], STANDARDISE) == CAFFEINE


def test_an_sdf_with_what_rdkit_fails_on_spoils_no_neighbour(tmp_path: Path) -> None:
    bad = block("CO", "bad").replace(" O ", " Xx")
    odd = block("CO", "t\u00fcr").encode("latin-1")
    content = (block("CCO", "one") + "$$$$\n" + bad + "$$$$\n").encode() + odd + b"$$$$\n"
    table = table_of(tmp_path, "a.sdf", content + block("CCN", "last").encode())
    assert table["smiles"].notna().tolist() == [True, False, False, True]
    assert "lone surrogate" in table[UNREADABLE].iloc[2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.smi", "# nothing\n", "holds no record"),
        ("a.sdf", "", "holds no record"),
        ("a.fasta", "MKTAYIAK\n>a\nMKT\n", "begins with '>', this one with 'MKTAYIAK"),
        ("a.smi.gz", None, "cannot be read as a table"),
    ],
)
def test_files_without_records(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is None:
        (tmp_path / name).write_bytes(b"\x1f\x8b and nothing else")
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_table(tmp_path / name)
    assert name in str(caught.value)


COLUMNS = {"drug_id": "compound", "target_id": "uniprot", "label": "y"}


def joined(raw: Path, drugs: str | bytes, suffix: str, interactions: str) -> pd.DataFrame:
    """Read three tables, the drugs from a chemists' file, the targets from a FASTA."""
    files = {"drugs": (suffix, drugs), "targets": (".fasta", FASTA)}
    files["interactions"] = (".csv", interactions)
    source = {
        "format": "tables",
        "label": {"rule": "given"},
        "columns": COLUMNS,
        "files": {role: {"url": f"{role}{ending}"} for role, (ending, _) in files.items()},
    }
    manifest = {}
    (raw / "mine").mkdir()
    for role, (ending, content) in files.items():
        path = raw / "mine" / f"{role}{ending}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        manifest[role] = {"file": f"mine/{role}{ending}"}
    (raw / "manifest.json").write_text(json.dumps({"mine": manifest}))
    return read_records(build(DatasetConfig, {"sources": {"mine": source}}, "dataset"), raw)


def test_a_smiles_file_and_a_fasta_in_a_data_set(tmp_path: Path) -> None:
    interactions = "compound,uniprot,y\nDB00945,P0CG48,1\ntwo words,mine,0\nDB00945,empty,1\n"
    records = joined(tmp_path, SMI, ".smi", interactions)
    assert records["smiles"].tolist() == [ASPIRIN, CAFFEINE, ASPIRIN]
    assert records["drug_name"].tolist() == ["acetylsalicylic acid", None, "acetylsalicylic acid"]
    assert records["target_name"].tolist() == ["UBC", "my own kinase", None]
    assert records["organism"].tolist() == ["Homo sapiens", None, None]
    assert records["refusal"].tolist() == [None, None, UNREADABLE_RECORD]
    assert "no sequence" in records["refusal_detail"].iloc[2]


def test_an_sdf_in_a_data_set(tmp_path: Path) -> None:
    interactions = "compound,uniprot,y\nDB00945,P0CG48,1\nbroken,P0CG48,0\nchiral,Q9XYZ1,1\n"
    records = joined(tmp_path, SDF, ".sdf", interactions)
    assert records["drug_name"].tolist() == ["aspirin", None, None]
    assert records["refusal"].tolist() == [None, UNREADABLE_RECORD, None]
    assert records["refusal_detail"].iloc[1] == "RDKit cannot read the mol block"


def test_the_first_refusal_of_a_row_stays(tmp_path: Path) -> None:
    records = joined(tmp_path, SDF, ".sdf", "compound,uniprot,y\nbroken,empty,1\n")
    assert records["refusal_detail"].tolist() == ["RDKit cannot read the mol block"]


def test_pairs_from_an_sdf_with_properties(tmp_path: Path) -> None:
    text = block(ASPIRIN, "A", sequence=UBIQUITIN, y="1", CID="2244") + "$$$$\n"
    text += block(CAFFEINE, "B", sequence=UBIQUITIN, y="0", CID="2519") + "$$$$\n"
    records = read(tmp_path, {"pairs": text}, ".sdf", columns={"label": "y", "drug_id": "CID"})
    assert records["drug_id"].tolist() == ["2244", "2519"]  # a property of the configured name
    assert records["label"].tolist() == [1, 0]
    assert records["sequence"].tolist() == [UBIQUITIN] * 2


def test_text_that_is_no_unicode_is_a_refused_row(tmp_path: Path) -> None:
    matrix = {
        "affinity": "5 70\n9 3\n",
        "ligands": json.dumps({"A\ud800": ASPIRIN, "B": CAFFEINE}),
        "proteins": json.dumps({"P": UBIQUITIN, "Q": INSULIN_A + "\udfff"}),
    }
    label = {"rule": "threshold", "unit": "nM", "stronger": "lower"}
    label |= {"positive_threshold": 30, "negative_threshold": 30}
    records = read(tmp_path, dict(matrix), ".txt", format="deepdta", label=label)
    assert records["refusal"].tolist() == [INVALID_TEXT, INVALID_TEXT, None, INVALID_TEXT]
    assert records["refusal_detail"].iloc[0] == "drug_id is no Unicode text: A\\ud800"
    # The second row has two such texts; the first of them is the reason.
    assert records["refusal_detail"].iloc[1] == "drug_id is no Unicode text: A\\ud800"
    assert records["sequence"].iloc[1] == INSULIN_A + "\\udfff"
    assert records["drug_id"].tolist() == ["A\\ud800", "A\\ud800", "B", "B"]
    records.to_parquet(tmp_path / "records.parquet")
