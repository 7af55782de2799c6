"""What an inference worker does with joined requests, without HTTP."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from serve.http.schemas import (
    DrugInfo,
    DrugTargetPair,
    PredictionRow,
    PredictionRows,
    PredictOne,
    PredictSeveral,
    TargetInfo,
)
from serve.inference.api import PredictionAPI
from serve.inference.golden import check_golden
from serve.inference.scorer import Scorer
from serve.inference.source import Source
from serve.settings import load_settings
from stages.dti.artifacts.export import EXPORTED
from stages.dti.artifacts.model_files import seal_export
from stages.dti.config.serve import ServeConfig
from stages.dti.errors import DtiError
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


@pytest.fixture(scope="module")
def config() -> ServeConfig:
    return load_settings([], {}).serve


@pytest.fixture(scope="module")
def scorer(model_folder: Path) -> Scorer:
    return Scorer.load(Source(model_folder))


def known(scorer: Scorer, row: int) -> str:
    """Return an id that the model knows."""
    target_id: str = scorer.predictor.content.reference.targets["target_id"].iloc[row]
    return target_id


def one(smiles: str, **target: str) -> PredictOne:
    return PredictOne(drug=DrugInfo(smiles=smiles), target=TargetInfo(**target))


def row_of(scorer: Scorer, request: PredictOne) -> PredictionRow:
    (row,) = scorer.answer([request])
    assert isinstance(row, PredictionRow)
    return row


def test_joined_requests_are_answered_as_alone(scorer: Scorer) -> None:
    requests: list[PredictOne | PredictSeveral] = [
        one(ASPIRIN, target_id=known(scorer, 0)),
        PredictSeveral(
            pairs=[
                DrugTargetPair(drug=DrugInfo(smiles=text), target=TargetInfo(target_id=target))
                for text, target in (("not one", known(scorer, 1)), ("CCO", known(scorer, 2)))
            ],
            return_confidence=False,
        ),
        one("c1ccccc1", target_id="nowhere"),
    ]
    joined = scorer.answer(requests)
    assert joined == [scorer.answer([request])[0] for request in requests]
    assert isinstance(joined[0], PredictionRow)
    assert isinstance(joined[1], PredictionRows)
    assert [row.status for row in joined[1].predictions] == ["invalid", "ok"]


def test_limits_are_those_of_the_model(scorer: Scorer) -> None:
    limits = scorer.predictor.content.standardise
    row = row_of(scorer, one("C" * (limits.max_smiles_characters + 1), target_id=known(scorer, 0)))
    assert row.status == "invalid"
    assert row.reason == "the SMILES has 4001 characters, more than 4000"
    row = row_of(scorer, one(ASPIRIN, sequence="M" * (limits.max_residues + 1)))
    assert row.reason == "40001 residues, more than 40000"


@pytest.mark.parametrize(
    ("smiles", "target", "reason"),
    [
        ("", {"target_id": "O00141"}, "the SMILES is empty"),
        ("C\x00C", {"target_id": "O00141"}, ""),
        (ASPIRIN, {}, "neither a sequence nor an id"),
        (ASPIRIN, {"sequence": ""}, ""),
        (ASPIRIN, {"sequence": "MK"}, "2 residues"),
        (ASPIRIN, {"sequence": "MKT1" * 10}, "1"),
    ],
)
def test_reasons(scorer: Scorer, smiles: str, target: dict[str, Any], reason: str) -> None:
    row = row_of(scorer, one(smiles, **target))
    assert row.status == "invalid"
    assert row.reason
    assert reason in row.reason


def test_sequence_decides_over_an_id(scorer: Scorer) -> None:
    sequence = scorer.predictor.content.reference.targets["sequence"].iloc[1]
    row = row_of(scorer, one(ASPIRIN, target_id=known(scorer, 0), sequence=sequence))
    assert row.target_id == known(scorer, 0)
    assert row.known_target_id == known(scorer, 1)


def test_two_ids_of_different_proteins(scorer: Scorer) -> None:
    row = row_of(scorer, one(ASPIRIN, target_id=known(scorer, 0), uniprot_id=known(scorer, 1)))
    assert row.status == "invalid"
    assert row.reason is not None
    assert "different proteins" in row.reason


def test_failing_request_fails_alone(
    scorer: Scorer, config: ServeConfig, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = PredictionAPI(config, Source(model_folder))
    api._scorer = scorer
    direct = Predictor.predict

    def predict(self: Predictor, pairs: list[Pair]) -> Any:
        if any(pair.smiles == "CCO" for pair in pairs):
            raise RuntimeError("a bug that one molecule brings out")
        return direct(self, pairs)

    monkeypatch.setattr(Predictor, "predict", predict)
    good = one(ASPIRIN, target_id=known(scorer, 0))
    answers = api.predict([good, one("CCO", target_id=known(scorer, 0)), good])
    assert answers[1] is None
    assert answers[0] == answers[2] == row_of(scorer, good)


@pytest.mark.parametrize(
    ("change", "passed", "words"),
    [
        (0.0, True, "3 golden predictions came out bit for bit"),
        (5e-5, True, "within 5.0e-05"),
        (2e-4, False, "golden pair 2 scored"),
    ],
)
@pytest.mark.parametrize("number", ["score", "probability"])
def test_golden_predictions(
    model_folder: Path, tmp_path: Path, number: str, change: float, passed: bool, words: str
) -> None:
    golden = json.loads((model_folder / "golden.json").read_text())
    golden["pairs"][1][number] += change
    (tmp_path / "golden.json").write_text(json.dumps(golden))
    verdict = check_golden(Predictor.load(model_folder), tmp_path)
    assert verdict.passed is passed
    assert words in verdict.detail


def test_a_golden_prediction_that_is_no_number_is_refused(
    model_folder: Path, tmp_path: Path
) -> None:
    golden = json.loads((model_folder / "golden.json").read_text())
    golden["pairs"][1]["score"] = float("nan")
    (tmp_path / "golden.json").write_text(json.dumps(golden))
    with pytest.raises(DtiError, match=r"pairs\.1\.score: must be a finite number"):
        check_golden(Predictor.load(model_folder), tmp_path)


def test_golden_pair_that_is_refused(model_folder: Path, tmp_path: Path) -> None:
    golden = json.loads((model_folder / "golden.json").read_text())
    golden["pairs"][0]["smiles"] = "C1CC"
    (tmp_path / "golden.json").write_text(json.dumps(golden))
    verdict = check_golden(Predictor.load(model_folder), tmp_path)
    assert not verdict.passed
    assert "golden pair 1 was refused" in verdict.detail


@pytest.mark.parametrize(
    "content", ["", "[]", '{"pairs": []}', '{"pairs": [{"smiles": "C"}]}', None]
)
def test_unreadable_golden_predictions(
    model_folder: Path, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "golden.json").write_text(content)
    with pytest.raises(DtiError, match=r"golden\.json"):
        check_golden(Predictor.load(model_folder), tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("version.json", "{}", "model_sha256: required"),
        ("version.json", f'{{"model": "m", "model_sha256": "{64 * "a"}"}}', "of another model"),
        ("version.json", "[]", "a JSON object is wanted"),
        ("metrics.json", "{", "cannot be read"),
        ("metrics.json", None, "metrics.json cannot be read.*dvc repro"),
    ],
)
def test_folder_that_was_not_exported(
    model_folder: Path,
    tmp_path: Path,
    name: str,
    content: str | None,
    message: str,
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    seal_export(folder, [file for file in EXPORTED if (folder / file).exists()])
    with pytest.raises(DtiError, match=message):
        Scorer.load(Source(folder))


def test_a_target_by_its_gene_symbol(scorer: Scorer) -> None:
    facts = scorer.predictor.known_targets.table.iloc[2]
    expected = row_of(scorer, one(ASPIRIN, target_id=facts["target_id"]))
    assert expected.target_name == facts["target_name"]
    for target in (
        {"target_id": facts["target_name"].lower()},
        {"uniprot_id": facts["target_name"]},
        {"target_name": facts["target_name"]},
    ):
        row = row_of(scorer, one(ASPIRIN, **target))
        assert row.score == expected.score
        assert row.known_target_id == facts["target_id"]
        assert row.target_name is not None
    # A name is looked up only where no id is given.
    row = row_of(scorer, one(ASPIRIN, target_id="nowhere", target_name=facts["target_name"]))
    assert row.status == "invalid"


def test_names_are_those_given_else_those_that_the_model_knows(scorer: Scorer) -> None:
    drug = scorer.predictor.content.reference.drugs.iloc[4]
    target = TargetInfo(target_id=known(scorer, 0))
    row = row_of(scorer, PredictOne(drug=DrugInfo(smiles=drug["smiles"]), target=target))
    assert row.drug_name == "drug 4"
    mine = DrugInfo(smiles=drug["smiles"], drug_name="mine")
    assert row_of(scorer, PredictOne(drug=mine, target=target)).drug_name == "mine"
    assert row_of(scorer, one("CCCCCCCCO", target_id=known(scorer, 0))).drug_name is None


def test_targets_are_listed(scorer: Scorer) -> None:
    listed = scorer.targets().targets
    table = scorer.predictor.known_targets.table
    assert [target.target_id for target in listed] == table["target_id"].tolist()
    assert [target.target_name for target in listed] == table["target_name"].tolist()
    assert [target.residues for target in listed] == table["sequence"].str.len().tolist()
    assert {target.organism for target in listed} == {"Homo sapiens"}
    assert listed[0].target_class is None


@pytest.mark.parametrize("field", ["drug.smiles", "drug.drug_id", "target.target_name"])
def test_a_lone_surrogate_makes_its_own_row_invalid(scorer: Scorer, field: str) -> None:
    pair: dict[str, Any] = {
        "drug": {"smiles": ASPIRIN},
        "target": {"target_id": known(scorer, 0)},
    }
    kind, name = field.split(".")
    pair[kind][name] = "C\ud800C"
    good = {"drug": {"smiles": ASPIRIN}, "target": {"target_id": known(scorer, 0)}}
    (answer,) = scorer.answer([PredictSeveral.model_validate({"pairs": [good, pair, good]})])
    assert isinstance(answer, PredictionRows)
    assert [row.status for row in answer.predictions] == ["ok", "invalid", "ok"]
    assert f"{name} is no Unicode text" in str(answer.predictions[1].reason)
    answer.model_dump_json()
