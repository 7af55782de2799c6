"""A fit that was killed goes on as if it had not been: the same weights and curves, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext
from stages.dti.training.callbacks import STATE_FILE
from stages.dti.training.checkpoint_io import SafetensorsIO
from tests.support.drugban_fits import context_at, fitted, same_weights
from tests.support.sample_pairs import sample_pairs, take

EPOCHS = 4


class Killed(Exception):
    """Stands for the signal."""


@pytest.fixture(scope="module")
def pairs() -> PairData:
    return sample_pairs()


def killed_after(context: FitContext, epochs: int) -> FitContext:
    seen: list[dict[str, float]] = []

    def on_epoch(metrics: dict[str, float]) -> None:
        seen.append(metrics)
        if len(seen) == epochs:
            raise Killed

    return replace(context, on_epoch=on_epoch)


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.2, "crop_residues": 60},
        {"schedule": "reduce_on_plateau", "ema_decay": 0.9, "monitor": "loss", "dropout": 0.2},
        pytest.param(
            {"schedule": "cyclic_cosine", "cycles": 2, "accumulate_grad_batches": 2},
            marks=pytest.mark.slow,
        ),
        pytest.param({"schedule": "constant", "optimizer": "adam"}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("killed", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_resumed_fit_equals_an_uninterrupted_one(
    changes: dict[str, Any], killed: int, pairs: PairData, tmp_path: Path
) -> None:
    changes = {"max_epochs": EPOCHS, "patience_epochs": 2} | changes
    parts = take(pairs, slice(0, 60)), take(pairs, slice(450, 500))
    whole, epochs = fitted(*parts, tmp_path / "whole", **changes)
    torch.manual_seed(99)  # what ran before in this process plays no part
    context, resumed_epochs = context_at(tmp_path / "killed")
    with pytest.raises(Killed):
        fitted(*parts, tmp_path / "killed", context=killed_after(context, killed), **changes)
    torch.manual_seed(100)
    resumed, _ = fitted(*parts, tmp_path / "killed", context=context, **changes)
    assert resumed_epochs == epochs
    same_weights(whole, resumed)


@pytest.mark.parametrize("lost", ["module", "optimizer", "schedule", "average", "steps", "best"])
def test_each_part_of_the_state_is_needed(lost: str, pairs: PairData, tmp_path: Path) -> None:
    """Were one forgotten, the tests above would notice: weights or curve differ."""
    changes: dict[str, Any] = {"max_epochs": 2, "ema_decay": 0.9}
    parts = take(pairs, slice(0, 60)), take(pairs, slice(450, 500))
    context, resumed_epochs = context_at(tmp_path)
    with pytest.raises(Killed):
        fitted(*parts, tmp_path, context=killed_after(context, 1), **changes)
    whole, epochs = fitted(*parts, tmp_path / "whole", **changes)
    file = tmp_path / "checkpoint" / STATE_FILE
    state = SafetensorsIO().load_checkpoint(file)
    match lost:
        case "module":
            weights = state["current_model_state"]
            weights.update({name: value * 1.01 for name, value in weights.items()})
        case "optimizer":
            for moments in state["optimizer_states"][0]["state"].values():
                moments["exp_avg"].zero_()
        case "schedule":
            state["lr_schedulers"][0]["last_epoch"] = 0
        case "average":
            for value in state["state_dict"].values():
                value.copy_(1.01 * value)
        case "steps":
            state["averaging_state"]["n_averaged"].zero_()
        case "best":
            state["callbacks"]["KeptEpochs"]["curve"][0]["val_auroc"] = 2.0
    SafetensorsIO().save_checkpoint(state, file)
    resumed, _ = fitted(*parts, tmp_path, context=context, **changes)
    ours, theirs = whole.network.state_dict(), resumed.network.state_dict()
    same = all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert not (same and resumed_epochs == epochs)


def test_a_finished_fit_is_taken_as_it_is(pairs: PairData, tmp_path: Path) -> None:
    parts = take(pairs, slice(0, 60)), take(pairs, slice(450, 500))
    first, epochs = fitted(*parts, tmp_path, max_epochs=2)
    assert context_at(tmp_path)[0].checkpoint is not None
    before = (tmp_path / "checkpoint" / STATE_FILE).stat().st_mtime_ns
    again, repeated = fitted(*parts, tmp_path, max_epochs=2)
    assert repeated == epochs
    same_weights(first, again)
    assert (tmp_path / "checkpoint" / STATE_FILE).stat().st_mtime_ns == before


def test_another_seed_does_not_resume(pairs: PairData, tmp_path: Path) -> None:
    """Two members of an ensemble that were given one folder by mistake are still two."""
    parts = take(pairs, slice(0, 60)), take(pairs, slice(450, 500))
    first, _ = fitted(*parts, tmp_path, max_epochs=1)
    context, _ = context_at(tmp_path)
    other, _ = fitted(*parts, tmp_path, context=replace(context, seed=2), max_epochs=1)
    with pytest.raises(AssertionError):
        same_weights(first, other)


def test_without_a_checkpoint_folder_nothing_is_written(pairs: PairData, tmp_path: Path) -> None:
    context, _ = context_at(tmp_path)
    fitted(
        take(pairs, slice(0, 60)), take(pairs, slice(450, 500)), tmp_path,
        context=replace(context, checkpoint=None), max_epochs=1,
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_patience_that_ran_out_before_the_kill_has_run_out_after_it(
    pairs: PairData, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "max_epochs": 40, "patience_epochs": 1, "learning_rate": 1e-7, "schedule": "constant",
        "optimizer": "adam",
    }  # fmt: skip
    parts = take(pairs, slice(0, 60)), take(pairs, slice(450, 500))
    _, epochs = fitted(*parts, tmp_path / "whole", **changes)
    assert 1 < len(epochs) < 40
    context, again = context_at(tmp_path / "killed")
    with pytest.raises(Killed):
        fitted(*parts, tmp_path / "killed", context=killed_after(context, len(epochs)), **changes)
    fitted(*parts, tmp_path / "killed", context=context, **changes)
    assert again == epochs


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    shared = torch.arange(3.0)
    state = {
        "tensors": [shared, shared, torch.tensor(5, dtype=torch.int64)],
        "optimizer": {0: {"betas": (0.9, 0.999)}, 1: {}},
        "plain": [1, 0.1, float("inf"), None, True, "text"],
    }
    SafetensorsIO().save_checkpoint(state, tmp_path / "state")
    loaded = SafetensorsIO().load_checkpoint(tmp_path / "state")
    assert loaded["optimizer"] == state["optimizer"]
    assert loaded["plain"] == state["plain"]
    for value, expected in zip(loaded["tensors"], state["tensors"], strict=True):
        assert torch.equal(value, expected)
        assert value.dtype == expected.dtype


def test_what_only_pickle_could_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"checkpoint\.loop\.1 is a object"):
        SafetensorsIO().save_checkpoint({"loop": [1, object()]}, tmp_path / "state")
    assert not (tmp_path / "state").exists()
