"""``train_model``: one function for every model; weights by class; curves of every fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stages.dti.config.model import AnyModel
from stages.dti.config.schema import check
from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.models.base import Model
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from stages.dti.models.registry import model_config
from stages.dti.runtime.compose import compose
from stages.dti.runtime.stage import resolved
from stages.dti.training.classical import fit_classical
from stages.dti.training.lightning_module import DrugBANModule, Step
from stages.dti.training.processes import Process
from stages.dti.training.train import TrainedModel, train_model
from stages.dti.training.weights import weighted
from tests.support.drugban_fits import context_at, same_weights, small, trainer
from tests.support.sample_pairs import sample_pairs, take

PLAIN = resolved(compose())


@pytest.fixture(scope="module")
def parts() -> tuple[PairData, PairData]:
    pairs = sample_pairs()
    return take(pairs, slice(0, 400)), take(pairs, slice(450, 550))


def baseline(name: str, **changes: Any) -> AnyModel:
    return model_config(PLAIN["baselines"][name] | changes)


BOOSTING = baseline("gradient_boosting", trees=30)
LINEAR = baseline("logistic_regression")


def trained(
    config: AnyModel, parts: tuple[PairData, PairData], folder: Path, **changes: Any
) -> TrainedModel:
    return train_model(config, trainer(**changes), *parts, context_at(folder)[0])


def test_balanced_classes_weigh_the_same_and_a_pair_1_on_average(
    parts: tuple[PairData, PairData],
) -> None:
    pairs = weighted(parts[0], "balanced")
    assert pairs.labels is not None
    assert pairs.weights is not None
    assert pairs.weights.dtype == np.float32
    positive = pairs.labels > 0.5
    assert positive.mean() < 0.4
    assert pairs.weights[positive].sum() == pytest.approx(pairs.weights[~positive].sum())
    assert pairs.weights.mean() == pytest.approx(1)
    assert weighted(parts[0], "none") is parts[0]


@pytest.mark.parametrize("config", [BOOSTING, LINEAR, small()], ids=lambda config: config.name)
def test_the_option_raises_the_scores_of_a_rare_class(
    config: AnyModel, parts: tuple[PairData, PairData], tmp_path: Path
) -> None:
    plain, balanced = (
        trained(
            config, parts, tmp_path / choice, class_weight=choice, max_epochs=4,
            learning_rate=0.01, ema_decay=0.0,
        ).model
        for choice in ("none", "balanced")
    )  # fmt: skip
    assert balanced.score(parts[1]).mean() > plain.score(parts[1]).mean() + 0.03


@pytest.mark.parametrize("config", [BOOSTING, LINEAR, small()], ids=lambda config: config.name)
def test_weights_of_1_change_no_bit(
    config: AnyModel, parts: tuple[PairData, PairData], tmp_path: Path
) -> None:
    ones = replace(parts[0], weights=np.ones(len(parts[0]), dtype=np.float32))
    scores = [
        trained(config, (pairs, parts[1]), tmp_path / name, max_epochs=1).model.score(parts[1])
        for name, pairs in (("without", parts[0]), ("ones", ones))
    ]
    assert (scores[0] == scores[1]).all()


def test_a_pair_of_weight_2_counts_as_two(parts: tuple[PairData, PairData], tmp_path: Path) -> None:
    """Of logistic regression's loss, whose sum over pairs says so exactly."""
    train = take(parts[0], slice(0, 80))
    twice = np.arange(0, 80, 3)
    weights = np.ones(80, dtype=np.float32)
    weights[twice] = 2
    repeated = take(train, np.concatenate([np.arange(80), twice]))
    found, expected = (
        fit_classical(LINEAR, pairs, parts[1], context_at(tmp_path)[0]).score(parts[1])
        for pairs in (replace(train, weights=weights), repeated)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_loss_of_a_step_is_the_weighted_mean(parts: tuple[PairData, PairData]) -> None:
    pairs = weighted(parts[0], "balanced")
    torch.manual_seed(0)
    network = DrugBANNetwork(small())
    batch = pair_batch(pairs, np.arange(30), network)
    assert pairs.labels is not None
    assert batch.labels is not None
    assert batch.weights is not None
    module = DrugBANModule(network, trainer(), Process(), pairs.labels).train()
    loss = module.losses(Step(batch, 30))["loss"]
    with torch.no_grad():
        logits = network(batch)
    each = F.binary_cross_entropy_with_logits(logits, batch.labels, reduction="none")
    assert float(loss.detach()) == pytest.approx(float((each * batch.weights).mean()), rel=1e-5)
    by_label = {float(w) for w in batch.weights[batch.labels > 0.5]}
    assert len(by_label) == 1  # weights stay beside their pairs when a batch sorts them


@pytest.mark.parametrize("name", ["base_rate", "similarity_vote"])
def test_a_model_without_a_loss_refuses_weights(
    name: str, parts: tuple[PairData, PairData], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot weight pairs"):
        trained(baseline(name), parts, tmp_path, class_weight="balanced")
    changed = PLAIN | {
        "model": PLAIN["baselines"][name],
        "trainer": PLAIN["trainer"] | {"class_weight": "balanced"},
    }
    with pytest.raises(ConfigError, match=r"trainer\.class_weight: balanced, but model"):
        check(changed)


def test_an_ensembles_members_are_weighted_and_heard_too(
    parts: tuple[PairData, PairData], tmp_path: Path
) -> None:
    ensemble = model_config(
        {
            "name": "ensemble",
            "combine": "mean",
            "inverse_regularisation": 1.0,
            "members": {
                "boosted": {"config": BOOSTING.model_dump(), "seeds": 1, "snapshots": 1},
                "deep": {"config": small().model_dump(), "seeds": 1, "snapshots": 1},
            },
        }
    )
    heard: list[str] = []
    context, _ = context_at(tmp_path)
    context = replace(context, on_fit=lambda name, number: lambda _: heard.append(name))
    found = train_model(ensemble, trainer(class_weight="balanced", max_epochs=2), *parts, context)
    plain = trained(ensemble, parts, tmp_path / "plain", max_epochs=2).model
    assert found.model.score(parts[1]).mean() > plain.score(parts[1]).mean() + 0.03
    assert heard.count("deep") == 2
    members = found.curves.summary()["members"]
    assert members["deep"]["0"].epochs == 2
    assert members["boosted"]["0"].epochs == 10 * heard.count("boosted")


def test_two_calls_give_the_same_model_and_curve(
    parts: tuple[PairData, PairData], tmp_path: Path
) -> None:
    first, second = (trained(small(), parts, tmp_path / name, max_epochs=2) for name in ("a", "b"))
    assert first.curves.own.epochs == second.curves.own.epochs
    models: list[Any] = [first.model, second.model]
    assert all(isinstance(model, Model) for model in models)
    same_weights(*models)
