"""Small DrugBANs, fitted in a second: for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from stages.dti.config.model import DrugBANConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.runtime.compose import compose
from stages.dti.training.domain import DomainAdaptation
from stages.dti.training.drugban import fit_drugban
from tests.support.drugban_sizes import drugban_of


def small(**sizes: Any) -> DrugBANConfig:
    """A small model of the published parts."""
    return drugban_of(**sizes)


def trainer(**changes: Any) -> TrainerConfig:
    """Section ``trainer`` as conf/ has it, for small data."""
    quick = {"precision": "32-true", "batch_size": 16, "max_epochs": 3}
    return TrainerConfig.model_validate({**compose().trainer, **quick, **changes})


def context_at(folder: Path) -> tuple[FitContext, list[dict[str, float]]]:
    """A context with its checkpoint in ``folder``, and the list that its epochs go to."""
    epochs: list[dict[str, float]] = []
    folder.mkdir(exist_ok=True)
    context = FitContext(
        seed=1, threads=1, workdir=folder, on_epoch=epochs.append, checkpoint=folder / "checkpoint"
    )
    return context, epochs


def fitted(
    train: PairData,
    validation: PairData,
    folder: Path,
    context: FitContext | None = None,
    adaptation: DomainAdaptation | None = None,
    dropout: float = 0.0,
    **changes: Any,
) -> tuple[DrugBAN, list[dict[str, float]]]:
    """Fit a small DrugBAN; return it and what its epochs reported."""
    own, epochs = context_at(folder)
    model = fit_drugban(
        small(dropout=dropout), trainer(**changes), train, validation, context or own, adaptation
    )
    return model, epochs


def same_weights(a: DrugBAN, b: DrugBAN) -> None:
    """Assert that two models are equal to the last bit."""
    ours, theirs = a.network.state_dict(), b.network.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
