"""Every published form, read from files as they are published, and from broken ones."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.dti.config.base import build
from stages.dti.config.dataset import DatasetConfig
from stages.dti.data.sources.bindingdb import MULTICHAIN_TARGET
from stages.dti.data.sources.formats import RECORD_COLUMNS, read_records
from stages.dti.errors import ConfigError, DataError

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
INSULIN_A = "GIVEQCCTSICSLYQLENYCN"

GIVEN = {"rule": "given"}
BELOW_100_NM = {
    "rule": "threshold",
    "unit": "nM",
    "stronger": "lower",
    "positive_threshold": 100,
    "negative_threshold": 10000,
}


def read(
    raw: Path, files: dict[str, str | bytes], suffix: str = ".csv", **source: Any
) -> pd.DataFrame:
    """Lay out ``data/raw`` as ``acquire`` does, and read it."""
    source.setdefault("format", "pairs")
    source.setdefault("label", GIVEN)
    source["files"] = {role: {"url": f"data/{role}{suffix}"} for role in files}
    dataset = build(DatasetConfig, {"sources": {"mine": source}}, "dataset")
    manifest = {}
    for role, content in files.items():
        path = raw / "mine" / f"{role}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        manifest[role] = {"file": f"mine/{role}{suffix}"}
    (raw / "manifest.json").write_text(json.dumps({"mine": manifest}), encoding="utf-8")
    return read_records(dataset, raw)


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


DUMP_HEADER = [
    "BindingDB Reactant_set_id",
    "Ligand SMILES",
    "BindingDB MonomerID",
    "BindingDB Ligand Name",
    "Target Name",
    "Target Source Organism According to Curator or DataSource",
    "Ki (nM)",
    "IC50 (nM)",
    "Kd (nM)",
    "EC50 (nM)",
    "Number of Protein Chains in Target (>1 implies a multichain complex)",
]
CHAIN = ["BindingDB Target Chain Sequence", "UniProt (SwissProt) Primary ID of Target Chain"]


def dump(*rows: list[str], chains: list[str] = CHAIN) -> str:
    return "".join("\t".join(row) + "\n" for row in [[*DUMP_HEADER, *chains], *rows])


def dump_row(
    ki: str = "", ic50: str = "", kd: str = "", ec50: str = "", chains: str = "1", last: Any = None
) -> list[str]:
    last = [UBIQUITIN, "P62979"] if last is None else last
    facts = ["1", ASPIRIN, "22360", "aspirin", '"Poly"ubiquitin', "Homo sapiens"]
    return [*facts, ki, ic50, kd, ec50, chains, *last]


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
