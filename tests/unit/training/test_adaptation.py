"""CDAN: each part against an independent reference, a toy shift, and the fit as a whole."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from stages.dti.config.adaptation import AdaptationConfig, CdanConfig
from stages.dti.config.model import BaseRateConfig
from stages.dti.errors import ConfigError, DataError
from stages.dti.features.store import PairData
from stages.dti.paths import (
    CANDIDATE,
    INTERACTIONS,
    SPLITS,
    TRAINING_CURVES,
    TRAINING_METRICS,
    Paths,
)
from stages.dti.training.adaptation import (
    Discriminator,
    domain_term,
    entropy_weights,
    multilinear_map,
    reversal_strength,
    reverse_gradient,
)
from stages.dti.training.domain import DomainAdaptation, domain_adaptation
from stages.dti.training.export import load_training_data
from stages.dti.training.train import train_model
from tests.support.drugban_fits import context_at, fitted, same_weights, small
from tests.support.prepared_tables import write_features, write_tables
from tests.support.sample_pairs import sample_pairs, take
from tests.support.train_stage import start_train, write_inputs

CDAN = CdanConfig(name="cdan", start_epoch=1, weight=1.0, hidden_dim=16, learning_rate=1e-3)


def mlp(*widths: int) -> nn.Sequential:
    layers = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in pairwise(widths)]
    return nn.Sequential(*layers)


def test_the_reversed_gradient_is_that_of_two_separate_losses() -> None:
    """Reference without any reversal: below, descend on -strength × loss; above, on the loss."""
    torch.manual_seed(0)
    below, above, inputs = mlp(3, 4), mlp(4, 5, 1), torch.randn(7, 3)
    features = below(inputs)
    above(reverse_gradient(features, 0.3)).square().sum().backward()
    found = [[p.grad.clone() for p in part.parameters()] for part in (below, above)]
    loss = above(below(inputs)).square().sum()
    for part, scale, gradients in zip((below, above), (-0.3, 1.0), found, strict=True):
        expected = torch.autograd.grad(loss, list(part.parameters()), retain_graph=True)
        for ours, reference in zip(gradients, expected, strict=True):
            torch.testing.assert_close(ours, scale * reference)
    assert torch.equal(reverse_gradient(features, 0.3), features)


@pytest.mark.parametrize(
    ("progress", "strength"), [(0.0, 0.0), (0.1, 0.46211716), (0.5, 0.98661430), (1.0, 0.99990920)]
)
def test_the_reversal_grows_as_published(progress: float, strength: float) -> None:
    assert reversal_strength(progress) == pytest.approx(strength, abs=1e-8)


def test_entropy_weights_are_those_of_the_two_class_softmax() -> None:
    logits = torch.linspace(-9, 9, 41)
    two_classes = torch.stack([torch.zeros_like(logits), logits], dim=1)
    entropy = torch.distributions.Categorical(logits=two_classes).entropy()
    torch.testing.assert_close(entropy_weights(logits), 1 + torch.exp(-entropy))


def test_entropy_weights_of_certain_pairs_are_finite_and_so_are_their_gradients() -> None:
    logits = torch.tensor([-200.0, 0.0, 200.0], requires_grad=True)
    weights = entropy_weights(logits)
    torch.testing.assert_close(weights.detach(), torch.tensor([2.0, 1.5, 2.0]))
    weights.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_multilinear_map_is_the_outer_product_of_features_and_classes() -> None:
    torch.manual_seed(0)
    features, logits = torch.randn(5, 3), torch.randn(5)
    softmax = torch.softmax(torch.stack([torch.zeros(5), logits], dim=1), dim=1)
    for row, found in enumerate(multilinear_map(features, logits)):
        expected = np.outer(softmax[row], features[row]).ravel()
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_domain_loss_is_the_published_one_pair_by_pair() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(3, 4)
    loss, published = torch.zeros(()), torch.zeros(())
    for domain in (0, 1):
        features, logits = torch.randn(6, 3), torch.randn(6)
        term = domain_term(discriminator, features, logits, domain, 1.0)
        loss = loss + term.loss / term.weight
        p = torch.sigmoid(logits)
        entropy = -(p * p.log() + (1 - p) * (1 - p).log())
        weights = 1 + torch.exp(-entropy)
        outer = torch.cat([(1 - p)[:, None] * features, p[:, None] * features], dim=1)
        guess = torch.sigmoid(discriminator.layers(outer)).squeeze(1)
        losses = -torch.log(guess if domain else 1 - guess)
        published = published + (weights / weights.sum() * losses).sum()
        assert term.correct == ((guess > 0.5) == bool(domain)).sum()
    torch.testing.assert_close(loss, published)


def test_the_classes_that_condition_the_discriminator_are_not_trained_to_deceive_it() -> None:
    """As published: the gradient reaches the logits through the entropy weights alone."""
    torch.manual_seed(0)
    discriminator, features = Discriminator(3, 4), torch.randn(6, 3)
    logits = torch.randn(6, requires_grad=True)
    domain_term(discriminator, features, logits, 1, 1.0).loss.backward()
    with torch.no_grad():
        losses = F.softplus(-discriminator(features, logits))
    own = logits.detach().requires_grad_()
    (-(entropy_weights(own) * losses).sum()).backward()
    torch.testing.assert_close(logits.grad, own.grad)


def shifted(count: int, domain: int) -> tuple[Tensor, Tensor]:
    """Both inputs tell the labels; in the test domain the second is shifted."""
    labels = (torch.rand(count) < 0.5).float()
    inputs = (2 * labels - 1)[:, None] + torch.randn(count, 2)
    inputs[:, 1] += 3.0 * domain
    return inputs, labels


def learned(adapting: bool) -> tuple[float, float, float]:
    """Train on the toy, with the gradient of the domain loss reversed or cut off.

    Returns:
        How often the discriminator is right about new pairs, how often a fresh one is, and how
        often the labels predicted in the test domain are right.
    """
    torch.manual_seed(0)
    network, classifier, discriminator = mlp(2, 16, 8), nn.Linear(8, 1), Discriminator(8, 32)
    parts = (network, classifier, discriminator)
    optimizer = torch.optim.Adam([p for part in parts for p in part.parameters()], lr=3e-3)
    steps = 600
    for step in range(steps):
        (source, labels), (target, _) = shifted(64, 0), shifted(64, 1)
        strength = reversal_strength(step / steps) if adapting else 0.0
        features = network(source)
        logits = classifier(features).squeeze(1)
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        others = network(target)
        for f, g, domain in ((features, logits, 0), (others, classifier(others).squeeze(1), 1)):
            term = domain_term(discriminator, f, g, domain, strength)
            loss = loss + term.loss / term.weight
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        (source, _), (target, labels) = shifted(1000, 0), shifted(1000, 1)
        features = torch.cat([network(source), network(target)])
        logits = classifier(features).squeeze(1)
        domains = np.repeat([0, 1], 1000)
        guessed = (discriminator(features, logits) > 0).numpy() == domains
        right = (logits[1000:] > 0) == (labels > 0.5)
    probe = LogisticRegression(max_iter=1000).fit(features[::2], domains[::2])
    fresh = probe.score(features[1::2], domains[1::2])
    return float(guessed.mean()), fresh, float(right.float().mean())


def test_on_a_toy_shift_adaptation_hides_the_domain_and_keeps_the_labels() -> None:
    plain_guess, plain_probe, plain_labels = learned(adapting=False)
    guess, probe, labels = learned(adapting=True)
    assert plain_guess > 0.75
    assert guess < plain_guess - 0.15
    assert probe < plain_probe - 0.1
    assert labels > plain_labels + 0.1


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_inputs(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def pairs() -> PairData:
    return sample_pairs()


def unlabelled(pairs: PairData, rows: slice) -> PairData:
    return replace(take(pairs, rows), labels=None)


def test_labels_of_the_pairs_to_adapt_to_are_refused(pairs: PairData) -> None:
    with pytest.raises(ValueError, match="must come without labels"):
        DomainAdaptation(CDAN, take(pairs, slice(0, 10)))


def test_a_fit_adapts_from_its_start_epoch_on(pairs: PairData, tmp_path: Path) -> None:
    parts = take(pairs, slice(0, 60)), take(pairs, slice(450, 500))
    adaptation = DomainAdaptation(CDAN, unlabelled(pairs, slice(500, 540)))
    plain, before = fitted(*parts, tmp_path / "plain", patience_epochs=3)
    adapted, epochs = fitted(
        *parts, tmp_path / "adapted", adaptation=adaptation, patience_epochs=3, monitor="loss"
    )
    assert epochs[0] == before[0]
    assert "domain_loss" not in epochs[0]
    for epoch in epochs[1:]:
        assert 0 < epoch["domain_loss"] < 3
        assert 0 <= epoch["domain_accuracy"] <= 1
    assert epochs[-1]["val_loss"] != before[-1]["val_loss"]
    del plain, adapted


def test_an_adapting_fit_resumes_like_any_other(pairs: PairData, tmp_path: Path) -> None:
    parts = take(pairs, slice(0, 60)), take(pairs, slice(450, 500))
    adaptation = DomainAdaptation(CDAN, unlabelled(pairs, slice(500, 540)))
    whole, epochs = fitted(*parts, tmp_path / "whole", adaptation=adaptation)

    def die(metrics: dict[str, float]) -> None:
        if metrics["epoch"] == 1:
            raise KeyboardInterrupt

    context, _ = context_at(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        fitted(
            *parts, tmp_path / "killed", context=replace(context, on_epoch=die),
            adaptation=adaptation,
        )  # fmt: skip
    resumed, again = fitted(*parts, tmp_path / "killed", adaptation=adaptation)
    assert again == epochs
    same_weights(whole, resumed)


def test_a_classical_model_cannot_adapt(pairs: PairData, tmp_path: Path) -> None:
    context, _ = context_at(tmp_path)
    adaptation = DomainAdaptation(CDAN, unlabelled(pairs, slice(500, 540)))
    unused: Any = SimpleNamespace(monitor="auroc", class_weight="none")
    with pytest.raises(ConfigError, match="base_rate cannot adapt"):
        train_model(BaseRateConfig(name="base_rate"), unused, pairs, pairs, context, adaptation)


def test_no_pairs_to_adapt_to_is_an_error_that_names_the_split(pairs: PairData) -> None:
    section = AdaptationConfig(CDAN)
    with pytest.raises(DataError, match=r"split\.adapt_fraction"):
        domain_adaptation(section, unlabelled(pairs, slice(0, 0)))


def set_aside(root: Path) -> np.ndarray:
    """Give half of the test pairs to ``adapt``, as ``split`` would; return their rows."""
    splits = pd.read_parquet(root / SPLITS)
    rows = np.flatnonzero(splits["split"] == "test")[::2]
    splits.loc[rows, "split"] = "adapt"
    splits.to_parquet(root / SPLITS, index=False)
    return rows


def test_the_labels_of_part_adapt_are_not_loaded(tmp_path: Path) -> None:
    write_tables(tmp_path)
    write_features(tmp_path)
    rows = set_aside(tmp_path)
    data = load_training_data(Paths(tmp_path, tmp_path))
    assert len(data.unlabelled) == len(rows)
    assert data.unlabelled.labels is None


def test_the_labels_of_part_adapt_leave_no_trace_in_the_model(root: Path) -> None:
    """Other labels on the pairs adapted to give the same weights and the same calibration."""
    model, cdan = small().model_dump(), CDAN.model_dump() | {"start_epoch": 0}
    rows = set_aside(root)
    start_train(root, model, trainer={"max_epochs": 1}, adaptation=cdan)
    before = [(root / CANDIDATE / name).read_bytes() for name in WRITTEN]
    measured = json.loads((root / TRAINING_METRICS).read_text())["adaptation"]
    assert measured["pairs"] == len(rows)
    assert measured["domain_loss"] > 0
    curve = pd.read_csv(root / TRAINING_CURVES / "domain.csv")
    assert curve["metric"].tolist() == ["domain_loss", "domain_accuracy"]
    table = pd.read_parquet(root / INTERACTIONS)
    table.loc[rows, "label"] = 1 - table.loc[rows, "label"]
    table.to_parquet(root / INTERACTIONS, index=False)
    start_train(root, model, trainer={"max_epochs": 1}, adaptation=cdan)
    assert [(root / CANDIDATE / name).read_bytes() for name in WRITTEN] == before


WRITTEN = ("weights.safetensors", "calibration.json")
