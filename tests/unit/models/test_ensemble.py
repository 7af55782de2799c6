"""Ensembles of cheap models on real pairs: what combining does, and that a score is its pair's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from stages.dti.config.base import build
from stages.dti.config.model import EnsembleConfig, ModelConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, OnEpoch
from stages.dti.models.ensemble import COMBINATION, Combination, Ensemble
from stages.dti.models.registry import load_model
from stages.dti.paths import ROOT
from stages.dti.runtime.compose import compose
from stages.dti.training.ensemble import combine_on_validation, rank_line
from stages.dti.training.train import train_model
from tests.support.drugban_sizes import drugban_of
from tests.support.prepared_tables import DEFAULTS
from tests.support.sample_pairs import alone, sample_pairs, take

TRAIN, VALIDATION, TEST = slice(0, 450), slice(450, 540), slice(540, None)
WAYS = ("mean", "rank_average", "stacked")


def conf(name: str, **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = yaml.safe_load((ROOT / f"conf/model/{name}.yaml").read_text())
    return plain | changes


def config(combine: str, **changes: Any) -> EnsembleConfig:
    members = {
        "linear": {"config": conf("logistic_regression"), "seeds": 1, "snapshots": 1},
        "boosted": {
            "config": conf("gradient_boosting", trees=20, early_stopping_rounds=10),
            "seeds": 2,
            "snapshots": 1,
        },
    }
    plain = {
        "name": "ensemble",
        "combine": combine,
        "inverse_regularisation": 1.0,
        "members": members,
    }
    made = build(ModelConfig, plain | changes, "model").root
    assert isinstance(made, EnsembleConfig)
    return made


@pytest.fixture(scope="module")
def pairs() -> PairData:
    return sample_pairs()


Curves = dict[tuple[str, int], list[dict[str, float]]]
"""Member and number of a fit → its epochs."""


def context_at(folder: Path, seed: int) -> tuple[FitContext, Curves]:
    """Return a context that refuses epochs of no fit, and what the epochs of each fit go to."""
    curves: Curves = {}

    def on_epoch(metrics: dict[str, float]) -> None:
        raise AssertionError(f"an ensemble has no epochs of its own: {metrics}")

    def on_fit(member: str, number: int) -> OnEpoch:
        assert (member, number) not in curves
        curves[member, number] = []
        return curves[member, number].append

    return FitContext(
        seed=seed, threads=1, workdir=folder, on_epoch=on_epoch, on_fit=on_fit
    ), curves


def fit_here(folder: Path, combine: str, **changes: Any) -> tuple[Ensemble, Curves]:
    pairs = sample_pairs()
    folder.mkdir(parents=True, exist_ok=True)
    context, curves = context_at(folder, seed=3)
    trainer = build(TrainerConfig, DEFAULTS["trainer"], "trainer")
    made = train_model(
        config(combine, **changes), trainer, take(pairs, TRAIN), take(pairs, VALIDATION), context
    ).model
    assert isinstance(made, Ensemble)
    return made, curves


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Ensemble, Curves]]:
    """Each way of combining, fitted once."""
    folder = tmp_path_factory.mktemp("fits")
    made = {combine: fit_here(folder / combine, combine) for combine in WAYS}
    return made.__getitem__


Fitted = Callable[[str], tuple[Ensemble, Curves]]


@pytest.mark.parametrize("combine", WAYS)
def test_scores_are_in_range_and_rank_the_test_pairs(
    combine: str, fitted: Fitted, pairs: PairData
) -> None:
    test = take(pairs, TEST)
    scores = fitted(combine)[0].score(test)
    assert scores.dtype == np.float64
    assert ((scores >= 0) & (scores <= 1)).all()
    assert roc_auc_score(test.labels, scores) > 0.7


@pytest.mark.parametrize("combine", WAYS)
def test_a_pairs_score_does_not_depend_on_its_company(
    combine: str, fitted: Fitted, pairs: PairData
) -> None:
    model = fitted(combine)[0]
    together = model.score(take(pairs, TEST))
    for row in (0, 5, 17):
        assert model.score(alone(pairs, TEST.start + row))[0] == together[row]
        pair = alone(pairs, TEST.start + row)
        assert model.combine(model.member_scores(pair))[0] == together[row]


def test_many_members_sum_in_the_same_order_for_one_pair_and_for_many() -> None:
    """numpy adds eight or more numbers in another order where one pair makes the array flat."""
    members = {"many": [None] * 25}
    plain = config("mean").model_copy(
        update={"members": {"many": config("mean").members["boosted"]}}
    )
    model = Ensemble(plain, members, Combination(np.ones(1)))  # type: ignore[arg-type]
    scores = np.random.default_rng(0).random((25, 400))
    together = model.combine(scores)
    for column in range(400):
        assert model.combine(scores[:, [column]])[0] == together[column]


@pytest.mark.parametrize("combine", WAYS)
def test_saved_and_loaded_it_says_the_same(
    combine: str, fitted: Fitted, pairs: PairData, tmp_path: Path
) -> None:
    model = fitted(combine)[0]
    model.save(tmp_path)
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert written == [
        COMBINATION,
        "members/boosted/0/model.txt",
        "members/boosted/1/model.txt",
        "members/linear/0/weights.safetensors",
    ]
    test = take(pairs, TEST)
    again = load_model(model.config, tmp_path)
    np.testing.assert_array_equal(again.member_scores(test), model.member_scores(test))
    np.testing.assert_array_equal(again.score(test), model.score(test))


@pytest.mark.parametrize("combine", WAYS)
def test_the_matrix_is_that_of_the_scores(combine: str, fitted: Fitted, pairs: PairData) -> None:
    model = fitted(combine)[0]
    drugs, targets = alone(pairs, 600).drugs, pairs.targets
    scored = model.score(
        PairData(
            drugs, targets, pairs.scalers, np.zeros(len(targets), int), np.arange(len(targets))
        )
    )
    matrix = model.matrix(drugs, targets, pairs.scalers, "float32")
    assert matrix.shape == (1, len(targets))
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix[0], scored, atol=1e-6)


def test_the_mean_is_over_members_and_not_over_fits(fitted: Fitted, pairs: PairData) -> None:
    model = fitted("mean")[0]
    test = take(pairs, TEST)
    first, second, linear = model.member_scores(test)  # by name: boosted, then linear
    assert not np.array_equal(first, second)  # two seeds
    np.testing.assert_allclose(model.score(test), ((first + second) / 2 + linear) / 2, rtol=1e-12)


def test_two_fits_are_alike_to_the_byte(fitted: Fitted, tmp_path: Path) -> None:
    again, _ = fit_here(tmp_path / "fit", "stacked")
    for name, model in (("a", fitted("stacked")[0]), ("b", again)):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_the_epochs_of_every_fit_are_reported_as_its_own(fitted: Fitted) -> None:
    curves = fitted("mean")[1]
    assert list(curves) == [("boosted", 0), ("boosted", 1), ("linear", 0)]
    for number in (0, 1):
        epochs = [epoch["epoch"] for epoch in curves["boosted", number]]
        assert epochs == [9, 19][: len(epochs)]
        assert epochs
    assert curves["boosted", 0] != curves["boosted", 1]  # two seeds
    assert curves["linear", 0] == []


def members_on_validation(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores ``(3, pairs)`` of a good, a fair and a useless member, and whether they interact."""
    random = np.random.default_rng(seed)
    positive = random.random(600) < 0.3
    noise = random.normal(size=(3, 600))
    signal = np.array([[2.0], [1.0], [0.0]]) * positive
    return expit(signal + noise - 1), positive


def test_ranks_are_the_mid_ranks_of_validation_and_reach_both_ends() -> None:
    scores = np.array([0.2, 0.7, 0.2, 0.9, 0.4])
    levels, ranks = rank_line(scores)
    assert levels.tolist() == [0.0, 0.2, 0.4, 0.7, 0.9, 1.0]
    expected = (rankdata(scores) - 0.5) / len(scores)
    np.testing.assert_allclose(np.interp(scores, levels, ranks), expected)
    assert ranks[[0, -1]].tolist() == [0, 1]
    assert (np.diff(ranks) > 0).all()  # scores beyond those of validation are still told apart
    assert rank_line(np.array([0.0, 1.0])).tolist() == [[0, 1], [0.25, 0.75]]


def test_rank_weights_are_the_best_of_the_grid_on_validation() -> None:
    scores, positive = members_on_validation()
    found = combine_on_validation(config("rank_average"), scores, positive)
    assert found.weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.weights * 10, np.round(found.weights * 10))
    ranks = [np.interp(row, *line) for row, line in zip(scores, found.ranks, strict=True)]

    def auroc(weights: tuple[float, ...]) -> float:
        return float(roc_auc_score(positive, np.average(ranks, axis=0, weights=weights)))

    best = auroc(tuple(found.weights))
    for weights in ((1, 0, 0), (1, 1, 1), (0.5, 0.5, 0), (0.8, 0.2, 0)):
        assert best >= auroc(weights) - 1e-9
    assert found.weights[0] > found.weights[1] > found.weights[2]


def test_equal_members_share_the_weight() -> None:
    scores, positive = members_on_validation()
    twice = np.stack([scores[0], scores[0]])
    assert combine_on_validation(config("rank_average"), twice, positive).weights.tolist() == [
        0.5,
        0.5,
    ]


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_the_stack_is_scikit_learns_where_no_weight_is_at_its_bound(strength: float) -> None:
    scores, positive = members_on_validation()
    two = scores[:2]
    found = combine_on_validation(config("stacked", inverse_regularisation=strength), two, positive)
    expected = LogisticRegression(C=strength, tol=1e-10).fit(logit(two).T, positive)
    np.testing.assert_allclose(found.weights, expected.coef_[0], atol=2e-3)
    assert found.intercept == pytest.approx(expected.intercept_[0], abs=2e-3)


def test_a_member_that_misleads_gets_no_weight() -> None:
    scores, positive = members_on_validation()
    misleading = np.stack([scores[0], 1 - scores[1]])
    found = combine_on_validation(config("stacked"), misleading, positive)
    assert found.weights[0] > 0
    assert found.weights[1] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inverse_regularisation": 0}, r"model\.inverse_regularisation: must be at least"),
        ({"combination": "median"}, "did you mean 'combine'"),
        ({"members": {}}, "members: must have at least 1 entr"),
        ({"members": {"../x": {}}}, "String should match pattern"),
        (
            {"members": {"inner": {"config": {"name": "ensemble"}}}},
            "name: must be one of .*, got 'ensemble'",
        ),
        (
            {"members": {"b": {"config": conf("base_rate"), "seeds": 1, "snapshots": 3}}},
            "a model base_rate has no snapshots",
        ),
        (
            {"members": {"b": {"config": conf("base_rate"), "seed": 1, "snapshots": 1}}},
            "did you mean 'seeds'",
        ),
    ],
)
def test_a_wrong_ensemble_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config("mean", **change)


def test_conf_writes_every_value_once() -> None:
    for option in ("ensemble_seeds", "ensemble_boosted"):
        model = compose([f"model={option}"]).model
        assert model.members.drugban.config == compose().model
        changed = compose([f"model={option}", "model.members.drugban.config.dropout=0.55"]).model
        assert changed.members.drugban.config.dropout == 0.55
    assert (
        compose(["model=ensemble_boosted"]).model.members.gradient_boosting.config
        == compose().baselines.gradient_boosting
    )


def test_an_ensemble_without_a_neural_member_imports_no_torch(
    fitted: Fitted, tmp_path: Path
) -> None:
    model = fitted("stacked")[0]
    model.save(tmp_path)
    script = (
        "import json, sys; from pathlib import Path;"
        "from stages.dti.models.registry import load_model, model_config;"
        "from stages.dti.training.ensemble import fit_ensemble;"
        "load_model(model_config(json.loads(sys.argv[1])), Path(sys.argv[2]));"
        "assert 'torch' not in sys.modules"
    )
    plain = model.config.model_dump_json()
    subprocess.run([sys.executable, "-c", script, plain, str(tmp_path)], cwd=ROOT, check=True)


def neural(**changes: Any) -> dict[str, Any]:
    return drugban_of(**changes).model_dump()


@pytest.mark.slow
def test_snapshots_of_two_seeds_beside_boosting(pairs: PairData, tmp_path: Path) -> None:
    members = {
        "drugban": {"config": neural(), "seeds": 2, "snapshots": 2},
        "boosted": {"config": conf("gradient_boosting", trees=10), "seeds": 1, "snapshots": 1},
    }
    trainer = TrainerConfig.model_validate(
        DEFAULTS["trainer"]
        | {"schedule": "cyclic_cosine", "max_epochs": 4, "cycles": 2}
        | {"precision": "32-true", "crop_residues": 60}
    )
    context, curves = context_at(tmp_path, seed=0)
    train, validation = take(pairs, slice(0, 100)), take(pairs, slice(450, 500))
    model = train_model(config("mean", members=members), trainer, train, validation, context).model
    assert isinstance(model, Ensemble)
    assert [len(models) for models in model.members.values()] == [1, 4]
    for number in (0, 1):
        assert [epoch["epoch"] for epoch in curves["drugban", number]] == [0, 1, 2, 3]
    few = take(pairs, slice(540, 560))
    members_scores = model.member_scores(few)
    assert len(np.unique(members_scores, axis=0)) == 5
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    again = load_model(model.config, tmp_path / "saved")
    np.testing.assert_array_equal(again.score(few), model.score(few))
    assert again.score(alone(pairs, 545))[0] == model.score(few)[5]


def test_snapshots_without_cycles_are_refused(tmp_path: Path, pairs: PairData) -> None:
    members = {"drugban": {"config": neural(), "seeds": 1, "snapshots": 3}}
    with pytest.raises(ConfigError, match=r"need trainer\.schedule=cyclic_cosine"):
        fit_here(tmp_path, "mean", members=members)
