"""Two processes that share every batch compute what one does: losses, weights, statistics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from stages.dti.config.adaptation import CdanConfig
from stages.dti.features.store import PairData
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.models.drugban.ops import RowBatchNorm
from stages.dti.training.domain import DomainAdaptation
from stages.dti.training.lightning_module import DrugBANModule, Step
from stages.dti.training.processes import Process, together
from stages.dti.training.synchronised import (
    SharedBatch,
    SynchronisedBatchNorm,
    shared_batch,
    synchronise,
)
from tests.support.drugban_fits import context_at, fitted, same_weights, small, trainer
from tests.support.sample_pairs import sample_pairs, take

CDAN = CdanConfig(name="cdan", start_epoch=1, weight=1.0, hidden_dim=16, learning_rate=1e-3)
ODD = slice(0, 67)
"""Batches of 16 and 17 pairs, so that two processes have different numbers of them."""


@pytest.fixture(scope="module")
def pairs() -> PairData:
    return sample_pairs()


def test_a_drug_or_target_counts_once_in_all_shares_together(pairs: PairData) -> None:
    rows = np.arange(33)
    network = DrugBANNetwork(small())
    shares = [shared_batch(Process(rank, 3), pairs, rows, network) for rank in range(3)]
    whole = shared_batch(Process(), pairs, rows, network)
    assert sum(map(len, shares)) == len(whole)
    drugs, targets = 0.0, 0.0
    for share in shares:
        assert isinstance(share, SharedBatch)
        drugs += float(share.drug_weights.sum())
        targets += float(share.target_weights.sum())
        assert not share.target_weights[share.targets.gaps].any()
    assert drugs == pytest.approx(whole.drugs.starts[-1])
    assert targets == pytest.approx((whole.targets.ends - whole.targets.starts).sum())


def test_the_synchronised_norm_of_one_process_is_the_plain_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rows, gaps = torch.randn(40, 6), torch.tensor([3, 39])
    results = []
    torch.distributed.init_process_group(
        "gloo", init_method=(tmp_path / "meeting").as_uri(), rank=0, world_size=1
    )
    try:
        for kind in (RowBatchNorm, SynchronisedBatchNorm):
            for where in (None, gaps):
                norm, inputs = kind(6), rows.clone().requires_grad_()
                result = norm(inputs, where, rectify=True)
                (result * torch.arange(240.0).view(40, 6)).sum().backward()
                results.append([result, inputs.grad, norm.running_mean, norm.running_var])
    finally:
        torch.distributed.destroy_process_group()
    for plain, synchronised in zip(results[:2], results[2:], strict=True):
        for expected, found in zip(plain, synchronised, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def gradients(pairs: PairData, folder: Path, weighted: bool, process: Process) -> dict[str, Tensor]:
    """Return the gradient of one step that adapts, added up over processes; write it too."""
    torch.manual_seed(0)
    network = DrugBANNetwork(small())
    if process.count > 1:
        synchronise(network)
    others = replace(pairs, labels=None)
    assert pairs.labels is not None
    module = DrugBANModule(network, trainer(), process, pairs.labels, CDAN).train()
    source, target = np.arange(33), np.arange(100, 129)
    batches = [
        shared_batch(process, data, rows, network)
        for data, rows in ((pairs, source), (others, target))
    ]
    if not weighted:
        batches = [
            replace(
                batch,
                drug_weights=batch.drug_weights.sign(),
                target_weights=batch.target_weights.sign(),
            )
            for batch in batches
            if isinstance(batch, SharedBatch)
        ]
    step = Step(batches[0], len(source), batches[1], len(target), progress=0.3)
    module.losses(step)["loss"].backward()
    found = {
        name: process.total(parameter.grad)
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    save_file(found, folder / f"{process.rank}_of_{process.count}.safetensors")
    return found


def largest_difference(pairs: PairData, folder: Path, weighted: bool) -> float:
    """Return the largest relative difference of a parameter's gradient, by its norm."""
    whole = gradients(pairs, folder, True, Process())
    with together(gradients, (pairs, folder, weighted), 2, "gloo", folder) as process:
        shared = gradients(pairs, folder, weighted, process)
    other = load_file(folder / "1_of_2.safetensors")
    assert all(torch.equal(other[name], value) for name, value in shared.items())
    return max(float((shared[name] - v).norm() / v.norm()) for name, v in whole.items())


@pytest.mark.slow
def test_the_gradient_of_a_shared_batch_is_that_of_the_whole(
    pairs: PairData, tmp_path: Path
) -> None:
    assert largest_difference(pairs, tmp_path, weighted=True) < 1e-4


@pytest.mark.slow
def test_it_is_not_if_a_drug_that_both_hold_counts_twice(pairs: PairData, tmp_path: Path) -> None:
    assert largest_difference(pairs, tmp_path, weighted=False) > 1e-2


def both(
    pairs: PairData, folder: Path, adapting: bool = False, **changes: Any
) -> list[tuple[Any, list[dict[str, float]]]]:
    """Fit with one and with two processes."""
    adaptation = None
    if adapting:
        others = replace(take(pairs, slice(500, 551)), labels=None)
        adaptation = DomainAdaptation(CDAN, others)
    parts = take(pairs, ODD), take(pairs, slice(450, 500))
    return [
        fitted(
            *parts, folder / f"{count}", adaptation=adaptation, strategy=strategy, devices=count,
            **{"max_epochs": 3, "monitor": "loss", "learning_rate": 1e-4} | changes,
        )
        for count, strategy in ((1, "auto"), (2, "ddp"))
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"adapting": True, "gradient_clip_val": 0.0},
        {"accumulate_grad_batches": 2, "ema_decay": 0.9, "schedule": "reduce_on_plateau"},
    ],
)
def test_two_processes_give_the_losses_and_weights_of_one(
    changes: dict[str, Any], pairs: PairData, tmp_path: Path
) -> None:
    (one, epochs), (two, shared_epochs) = both(pairs, tmp_path, **changes)
    assert len(epochs) == len(shared_epochs) == 3
    for expected, found in zip(epochs, shared_epochs, strict=True):
        norms = expected.pop("gradient_norm"), found.pop("gradient_norm")
        assert norms[1] == pytest.approx(norms[0], rel=1e-4)
        assert found == pytest.approx(expected, abs=1e-5)
    scored = take(pairs, slice(450, 500))
    np.testing.assert_allclose(two.score(scored), one.score(scored), atol=1e-5)
    theirs = two.network.state_dict()
    for name, value in one.network.state_dict().items():
        if name not in REMOVED:
            torch.testing.assert_close(theirs[name], value, rtol=0, atol=2e-5, msg=name)


REMOVED = {
    f"drug_encoder.layers.0.{name}"
    for name in ("convolution.bias", "residual.bias", "norm.running_mean")
}
"""Where a ReLU passes every atom, batch normalisation removes its bias again: the gradient is 0 but
for rounding, which Adam turns into steps as long as any other. The scores do not depend on it."""


@pytest.mark.slow
def test_two_processes_resume_too(pairs: PairData, tmp_path: Path) -> None:
    parts = take(pairs, ODD), take(pairs, slice(450, 500))
    ddp: dict[str, Any] = {"strategy": "ddp", "devices": 2, "max_epochs": 3, "dropout": 0.2}
    whole, epochs = fitted(*parts, tmp_path / "whole", **ddp)

    def die(metrics: dict[str, float]) -> None:
        if metrics["epoch"] == 1:
            raise KeyboardInterrupt

    context, _ = context_at(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        fitted(*parts, tmp_path / "killed", context=replace(context, on_epoch=die), **ddp)
    resumed, again = fitted(*parts, tmp_path / "killed", **ddp)
    assert again == epochs
    same_weights(whole, resumed)


def fail(_message: str, process: Process) -> None:
    """Work that fails in every process but the first."""
    if process.rank:
        raise RuntimeError(_message)


@pytest.mark.slow
def test_a_process_that_fails_ends_the_fit(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="training processes ended with exit code 1"),
        together(fail, ("on purpose",), 2, "gloo", tmp_path) as process,
    ):
        fail("on purpose", process)
    assert not list(tmp_path.iterdir())


def test_synchronise_changes_every_norm_and_no_weight() -> None:
    network = DrugBANNetwork(small())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    synchronise(network)
    norms = [module for module in network.modules() if isinstance(module, RowBatchNorm)]
    assert norms
    assert all(isinstance(norm, SynchronisedBatchNorm) for norm in norms)
    assert before.keys() == network.state_dict().keys()
