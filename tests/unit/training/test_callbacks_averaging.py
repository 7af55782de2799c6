"""Moving averages of weights, cyclic schedules, snapshots."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.training.callbacks import MovingAverage
from stages.dti.training.drugban import fit_drugban_snapshots
from stages.dti.training.schedule import make_optimizer, make_schedule
from tests.support.drugban_fits import context_at, fitted, same_weights, small, trainer
from tests.support.sample_pairs import sample_pairs, take


@pytest.fixture(scope="module")
def parts() -> tuple[PairData, PairData]:
    pairs = sample_pairs()
    return take(pairs, slice(0, 60)), take(pairs, slice(450, 500))


class OneWeight(pl.LightningModule):
    """One parameter, which a test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)

    def set(self, value: float) -> None:
        with torch.no_grad():
            self.layer.weight.fill_(value)


def test_the_average_is_the_recursion_and_gives_the_weights_back() -> None:
    module, fit = OneWeight(), SimpleNamespace(global_step=0)
    values = [1.0, 3.0, -2.0, 5.0, 4.0]
    module.set(values[0])
    average, expected = MovingAverage(decay=0.25), values[0]
    trainer_: Any = fit
    average.setup(trainer_, module, "fit")
    for step, value in enumerate(values[1:], start=1):
        module.set(value)
        fit.global_step = step
        average.on_train_batch_end(trainer_, module, None, None, 0)
        decay = min(0.25, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    average.on_validation_epoch_start(trainer_, module)
    assert module.layer.weight.item() == pytest.approx(expected, rel=1e-6)
    average.on_validation_epoch_end(trainer_, module)
    assert module.layer.weight.item() == values[-1]


def test_averaging_changes_what_is_kept_and_not_how_it_trains(
    parts: tuple[PairData, PairData], tmp_path: Path
) -> None:
    plain, epochs = fitted(*parts, tmp_path / "plain", schedule="constant", ema_decay=0.0)
    averaged, same = fitted(*parts, tmp_path / "averaged", schedule="constant", ema_decay=0.8)
    for name in ("train_loss", "gradient_norm"):
        assert [epoch[name] for epoch in epochs] == [epoch[name] for epoch in same]
    assert [e["val_loss"] for e in epochs] != [e["val_loss"] for e in same]
    with pytest.raises(AssertionError):
        same_weights(plain, averaged)


def test_the_cyclic_rate_is_that_of_the_paper() -> None:
    """Huang et al. 2017, equation 2, with t from 1, T iterations and M cycles."""
    settings = trainer(schedule="cyclic_cosine", cycles=3, max_epochs=6, learning_rate=0.01)
    optimizer = make_optimizer(nn.Linear(2, 1), None, 0.0, settings)
    total, cycles = 30, 3
    schedule = make_schedule(optimizer, settings, total)
    assert schedule is not None
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    length = math.ceil(total / cycles)
    expected = [
        0.01 / 2 * (math.cos(math.pi * ((t - 1) % length) / length) + 1)
        for t in range(1, total + 1)
    ]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_snapshots_are_the_ends_of_the_last_cycles(
    parts: tuple[PairData, PairData], tmp_path: Path
) -> None:
    settings = trainer(schedule="cyclic_cosine", cycles=3, max_epochs=6, patience_epochs=1)
    context, epochs = context_at(tmp_path)
    models = fit_drugban_snapshots(small(), settings, *parts, context, snapshots=2)
    assert len(models) == 2
    assert len(epochs) == 6  # patience plays no part
    # The end of a cycle is the end of a shorter fit with fewer cycles: the schedule is the same.
    shorter, _ = context_at(tmp_path / "shorter")
    settings = trainer(schedule="cyclic_cosine", cycles=2, max_epochs=4)
    last = fit_drugban_snapshots(small(), settings, *parts, shorter, snapshots=1)[0]
    same_weights(last, models[0])
    with pytest.raises(AssertionError):
        same_weights(*models)


@pytest.mark.parametrize(
    "changes", [{"schedule": "one_cycle"}, {"schedule": "cyclic_cosine", "cycles": 1}]
)
def test_snapshots_need_their_cycles(
    changes: dict[str, object], parts: tuple[PairData, PairData], tmp_path: Path
) -> None:
    context, _ = context_at(tmp_path)
    with pytest.raises(ConfigError, match="2 snapshots need"):
        fit_drugban_snapshots(small(), trainer(**changes), *parts, context, snapshots=2)
