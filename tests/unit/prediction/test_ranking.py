"""Predictor.matrix and Predictor.rank: what is fast finds the candidates, what is exact decides."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from stages.dti.errors import InvalidInputError
from stages.dti.features.store import PairData
from stages.dti.models.base import Model, Precision
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.paths import PROMOTED, ROOT, SAMPLE
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.ranking import MARGIN, best_first, is_certain
from stages.dti.prediction.types import Pair, Target
from tests.support.drugban_sizes import drugban_of
from tests.support.rough_models import Flat, Rounded, with_matrix_of
from tests.support.screened_model import NOT_DRUGS, write_promoted


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    root = tmp_path_factory.mktemp("promoted")
    write_promoted(root)
    return Predictor.load(root / PROMOTED)


@pytest.fixture(scope="module")
def library() -> list[str]:
    """150 drugs of the sample, some of them twice, and two that are none."""
    smiles = pd.read_csv(ROOT / SAMPLE / "drugs.csv", nrows=150)["smiles"].tolist()
    return [*smiles[:70], *NOT_DRUGS, *smiles[70:], *smiles[:30:3]]


@pytest.fixture(scope="module")
def known(predictor: Predictor) -> list[str]:
    return list(predictor.content.reference.targets["target_id"])


class Counting(Rounded):
    """A model that notes how many pairs it scores each time."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.scored: list[int] = []

    def score(self, pairs: PairData) -> NDArray[np.float64]:
        self.scored.append(len(pairs))
        return super().score(pairs)


def test_the_matrix_holds_the_score_of_every_pair(
    predictor: Predictor, library: list[str], known: list[str]
) -> None:
    targets = [Target(target_id=name) for name in known[:3]]
    found = predictor.matrix(library, targets)
    pairs = [Pair(smiles, target_id=name) for smiles in library for name in known[:3]]
    answers = predictor.predict(pairs)
    for values, single in (
        (found.scores, [answer.score for answer in answers]),
        (found.probabilities, [answer.probability for answer in answers]),
    ):
        wanted = np.array(single, dtype=np.float64)  # None becomes NaN
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, wanted.reshape(-1, 3), rtol=1e-6)


def test_the_matrix_of_many_pairs_is_made_in_blocks(
    predictor: Predictor, library: list[str], known: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [Target(target_id=name) for name in known[:3]]
    whole = predictor.matrix(library, targets).scores
    monkeypatch.setattr("stages.dti.models.base._PAIRS_AT_ONCE", 7)
    np.testing.assert_array_equal(predictor.matrix(library, targets).scores, whole)


def test_invalid_drugs_and_targets_are_nan_with_a_reason(
    predictor: Predictor, known: list[str]
) -> None:
    targets = [Target(target_id="nowhere"), Target(target_id=known[0]), Target(sequence="1234")]
    found = predictor.matrix(["CCO", *NOT_DRUGS], targets)
    assert np.isnan(found.scores).tolist() == [[True, False, True], [True] * 3, [True] * 3]
    assert [reason is None for reason in found.drug_reasons] == [True, False, False]
    assert "knows no target 'nowhere'" in str(found.target_reasons[0])
    assert found.target_reasons[1] is None
    assert found.target_reasons[2]


def test_the_rank_is_that_of_scoring_every_pair(
    predictor: Predictor, library: list[str], known: list[str]
) -> None:
    answers = predictor.predict([Pair(smiles, target_id=known[0]) for smiles in library])
    different = {answer.smiles: answer for answer in answers if answer.score is not None}
    wanted = sorted(different.values(), key=lambda answer: (-(answer.score or 0), answer.smiles))
    found = predictor.rank(library, Target(target_id=known[0]), 20)
    assert [row.rank for row in found] == list(range(1, 21))
    assert [row.prediction for row in found] == wanted[:20]
    for row in found:
        assert answers[row.position] == row.prediction
        assert row.prediction not in answers[: row.position]


def test_rounding_in_bf16_does_not_change_the_top(
    predictor: Predictor, library: list[str], known: list[str]
) -> None:
    coarse = with_matrix_of(Rounded, predictor)
    drugs = coarse.prepare_drugs(library)
    moved = 0
    for name in known[:5]:
        target = Target(target_id=name)
        exact = coarse.rank(drugs, target, 10, "float32")
        assert coarse.rank(drugs, target, 10, "bf16") == exact
        rough = coarse.matrix(library, [target], "bf16").scores[:, 0]
        top = np.argsort(-np.nan_to_num(rough), kind="stable")[:10]
        moved += {row.position for row in exact} != set(top.tolist())
    assert moved, "the rounding is too fine for this test to show anything"


def test_drugban_has_the_same_top_in_bf16_and_float32(
    predictor: Predictor, library: list[str], known: list[str]
) -> None:
    torch.manual_seed(0)
    network = DrugBANNetwork(drugban_of())
    drugban = Predictor(replace(predictor.content, model=DrugBAN(network)), predictor.info.sha256)
    drugs = drugban.prepare_drugs(library)
    for name in known[:4]:
        target = Target(target_id=name)
        answers = drugban.predict([Pair(smiles, target_id=name) for smiles in drugs.texts])
        best = sorted(answers, key=lambda answer: (-(answer.score or 0), answer.smiles or ""))
        for precision in ("float32", "bf16"):
            found = drugban.rank(drugs, target, 10, cast(Precision, precision))
            assert [row.prediction for row in found] == best[:10]


def test_drugs_that_rounding_makes_equal_are_all_scored_exactly(
    predictor: Predictor, library: list[str], known: list[str]
) -> None:
    """Where the margin cannot tell, more candidates are taken, here all of them."""
    flat = with_matrix_of(Flat, predictor)
    target = Target(target_id=known[0])
    assert len(set(library)) > 10 + MARGIN
    assert flat.rank(library, target, 10) == predictor.rank(library, target, 10)


def test_no_candidate_is_scored_twice_while_it_is_not_certain(
    predictor: Predictor, library: list[str], known: list[str]
) -> None:
    flat = with_matrix_of(Flat, predictor)
    counting = Counting(flat.content.model)
    flat = Predictor(replace(flat.content, model=counting), "")
    drugs = flat.prepare_drugs(library)
    flat.rank(drugs, Target(target_id=known[0]), 10)
    *candidates, answers = counting.scored
    assert len(candidates) > 1
    assert sum(candidates) == len(drugs.texts)
    assert answers == 10


def test_a_library_featurized_in_processes_ranks_alike(
    predictor: Predictor, library: list[str], known: list[str]
) -> None:
    drugs = predictor.prepare_drugs(library, processes=2)
    assert predictor.prepare_drugs(library).texts == drugs.texts
    target = Target(target_id=known[1])
    assert predictor.rank(drugs, target, 5) == predictor.rank(library, target, 5)


def test_equal_scores_stand_in_the_order_of_their_smiles(tmp_path: Path) -> None:
    write_promoted(tmp_path, "base_rate")
    predictor = Predictor.load(tmp_path / PROMOTED)
    shutil.rmtree(tmp_path)
    sequence = predictor.content.reference.targets["sequence"].iloc[0]
    found = predictor.rank(["CCO", "c1ccccc1", "CCN", "CCC"], Target(sequence=sequence), 3)
    assert [row.prediction.smiles for row in found] == ["CCC", "CCN", "CCO"]
    assert [row.position for row in found] == [3, 2, 0]


def test_a_library_without_a_drug_has_no_top(predictor: Predictor, known: list[str]) -> None:
    assert predictor.rank(NOT_DRUGS, Target(target_id=known[0]), 3) == []


def test_a_target_that_cannot_be_scored_is_an_error(predictor: Predictor) -> None:
    with pytest.raises(InvalidInputError, match="knows no target 'nowhere'"):
        predictor.rank(["CCO"], Target(target_id="nowhere"), 3)


def test_best_first_orders_by_score_then_text() -> None:
    order = best_first(np.array([0.5, 0.9, 0.5, 0.1]), ["b", "d", "a", "c"])
    assert order.tolist() == [1, 2, 0, 3]


@pytest.mark.parametrize(
    ("left_out", "certain"), [(0.5, True), (0.575, False), (0.7, False), (None, True)]
)
def test_the_top_is_certain_if_rounding_cannot_lift_what_was_left_out(
    left_out: float | None, certain: bool
) -> None:
    exact = np.array([0.9, 0.6, 0.55])  # the top 2 ends at 0.6
    rough = np.array([0.91, 0.62, 0.55])  # rounding moved a candidate by up to 0.02
    assert is_certain(exact, rough, left_out, 2) is certain
