"""Fitting DrugBAN: it learns, deterministically; the best epoch is kept; bad data is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from stages.dti.artifacts.training import Steps
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext
from stages.dti.models.drugban.network import Classifier
from stages.dti.runtime.compose import compose
from stages.dti.training.curves import LearningCurve, LearningCurves
from stages.dti.training.drugban import fit_drugban, precision_here
from tests.support.drugban_sizes import drugban_of
from tests.support.sample_pairs import sample_pairs, take

SMALL = drugban_of(
    graph_dim=16, graph_layers=2, residue_dim=8, cnn_filters=(16, 16),
    cnn_kernels=(3, 5), ban_heads=2, ban_dim=16, ban_pooling=2, mlp_hidden_dim=16, mlp_out_dim=8,
    dropout=0.0,
)  # fmt: skip


def trainer(**changes: Any) -> TrainerConfig:
    plain: Any = compose().trainer
    quick = {"precision": "32-true", "crop_residues": 60, "batch_size": 16}
    return TrainerConfig.model_validate({**plain, **quick, "max_epochs": 3, **changes})


@pytest.fixture(scope="module")
def pairs() -> PairData:
    return sample_pairs()


def fit(
    pairs: PairData, workdir: Path, train: slice, validation: slice, **changes: Any
) -> tuple[Any, list[dict[str, float]]]:
    epochs: list[dict[str, float]] = []
    workdir.mkdir(exist_ok=True)
    context = FitContext(seed=1, threads=1, workdir=workdir, on_epoch=epochs.append)
    settings = trainer(**changes)
    return fit_drugban(
        SMALL, settings, take(pairs, train), take(pairs, validation), context
    ), epochs


def test_it_learns_a_small_set_by_heart(pairs: PairData, tmp_path: Path) -> None:
    few = slice(0, 48)
    model, epochs = fit(
        pairs, tmp_path, few, few, max_epochs=40, patience_epochs=40, learning_rate=0.01
    )
    labels = pairs.labels
    assert labels is not None
    assert epochs[-1]["train_loss"] < 0.5 * epochs[0]["train_loss"]
    assert roc_auc_score(labels[few], model.score(take(pairs, few))) > 0.97


def test_two_fits_give_the_same_weights(pairs: PairData, tmp_path: Path) -> None:
    train, validation = slice(0, 100), slice(450, 500)
    (first, epochs), (second, again) = (
        fit(pairs, tmp_path / name, train, validation) for name in ("a", "b")
    )
    assert epochs == again
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name


def test_the_weights_are_those_of_the_best_epoch(pairs: PairData, tmp_path: Path) -> None:
    validation = slice(450, 540)
    model, epochs = fit(pairs, tmp_path, slice(0, 150), validation, max_epochs=5)
    labels = pairs.labels
    assert labels is not None
    best = max(epoch["val_auroc"] for epoch in epochs)
    # Training scores in batches, ``score`` pair by pair: equal up to rounding.
    assert roc_auc_score(labels[validation], model.score(take(pairs, validation))) == (
        pytest.approx(best, abs=0.005)
    )


def test_early_stopping_waits_for_its_patience(pairs: PairData, tmp_path: Path) -> None:
    _, epochs = fit(
        pairs, tmp_path, slice(0, 60), slice(450, 500),
        max_epochs=40, patience_epochs=1, learning_rate=1e-7, schedule="constant", optimizer="adam",
    )  # fmt: skip
    assert len(epochs) < 40


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "reduce_on_plateau", "constant"])
def test_schedules_move_the_learning_rate_as_they_say(
    schedule: str, pairs: PairData, tmp_path: Path
) -> None:
    _, epochs = fit(
        pairs, tmp_path, slice(0, 48), slice(450, 500),
        schedule=schedule, monitor="loss", accumulate_grad_batches=2,
    )  # fmt: skip
    rates = [epoch["learning_rate"] for epoch in epochs]
    assert len(rates) == 3
    assert (len(set(rates)) > 1) == (schedule in ("one_cycle", "cosine"))


def test_the_rate_is_halved_where_the_loss_no_longer_falls(pairs: PairData, tmp_path: Path) -> None:
    _, epochs = fit(
        pairs, tmp_path, slice(0, 48), slice(450, 500), schedule="reduce_on_plateau",
        learning_rate=1e-7, max_epochs=6, patience_epochs=6, monitor="loss",
    )  # fmt: skip
    # The first epoch sets the mark; the three that miss it are one more than is waited for.
    assert [epoch["learning_rate"] for epoch in epochs] == [1e-7] * 4 + [5e-8] * 2


def test_a_tiny_gradient_is_all_that_clipping_lets_through(pairs: PairData, tmp_path: Path) -> None:
    def weights(**changes: Any) -> list[torch.Tensor]:
        model, _ = fit(
            pairs, tmp_path, slice(0, 32), slice(450, 500), max_epochs=1, optimizer="adam",
            schedule="constant", weight_decay=0.0, **changes,
        )  # fmt: skip
        return [parameter.detach() for parameter in model.network.parameters()]

    def distance(some: list[torch.Tensor], others: list[torch.Tensor]) -> float:
        return max(float((a - b).abs().max()) for a, b in zip(some, others, strict=True))

    start = weights(learning_rate=1e-8)
    # Adam's steps do not depend on the gradient's size until its epsilon, 1e-8, outweighs it.
    assert distance(start, weights(learning_rate=0.01, gradient_clip_val=1e-12)) < 1e-5
    assert distance(start, weights(learning_rate=0.01, gradient_clip_val=0)) > 1e-3


def test_every_curve_of_a_fit_has_a_row_for_each_epoch(pairs: PairData, tmp_path: Path) -> None:
    _, epochs = fit(pairs, tmp_path / "fit", slice(0, 48), slice(450, 500), max_epochs=2)
    curves = LearningCurves("drugban", monitor="auroc")
    for epoch in epochs:
        curves.own.add(epoch)
    curves.save(tmp_path / "curves")
    metrics = {
        "loss": ["train_loss", "val_loss"],
        "auroc": ["val_auroc"],
        "learning_rate": ["learning_rate"],
        "gradient_norm": ["gradient_norm"],
        "domain": [],  # nothing to adapt to
    }
    files = {path.stem: pd.read_csv(path) for path in (tmp_path / "curves").iterdir()}
    assert files.keys() == metrics.keys()
    for name, table in files.items():
        expected = [(epoch, metric) for epoch in (0, 1) for metric in metrics[name]]
        assert list(table[["epoch", "metric"]].itertuples(index=False, name=None)) == expected
        assert table["value"].tolist() == [
            pytest.approx(epochs[epoch][metric], abs=1e-6) for epoch, metric in expected
        ]


def test_gradients_are_recorded_before_clipping(pairs: PairData, tmp_path: Path) -> None:
    train, validation = slice(0, 48), slice(450, 500)
    _, free = fit(pairs, tmp_path / "a", train, validation, gradient_clip_val=0, max_epochs=1)
    _, clipped = fit(pairs, tmp_path / "b", train, validation, gradient_clip_val=1e-3, max_epochs=1)
    assert free[0]["gradient_norm"] > 1e-2
    assert clipped[0]["gradient_norm"] > 1e-2


@pytest.mark.parametrize(
    ("precision", "expected"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)]
)
def test_every_step_computes_in_the_precision_that_was_chosen(
    pairs: PairData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
    expected: torch.dtype,
) -> None:
    seen = []
    classify = Classifier.forward

    def watch(self: Classifier, joint: torch.Tensor) -> torch.Tensor:
        seen.append((self.training, self.linears[0](joint).dtype))
        return classify(self, joint)

    monkeypatch.setattr(Classifier, "forward", watch)
    fit(pairs, tmp_path, slice(0, 48), slice(48, 100), max_epochs=1, precision=precision)
    assert set(seen) == {(True, expected), (False, expected)}


def test_precision_follows_the_choice_or_the_processor() -> None:
    assert precision_here("32-true", "cpu") == "32-true"
    assert precision_here("bf16-mixed", "cpu") == "bf16-mixed"
    assert precision_here("auto", "cpu") in ("32-true", "bf16-mixed")


def test_learning_curves_find_the_best_epoch_and_write_one_row_per_metric(tmp_path: Path) -> None:
    curves = LearningCurves("drugban", monitor="loss")
    for epoch, loss in enumerate([0.7, 0.5, 0.6]):
        curves.own.add({"epoch": float(epoch), "train_loss": loss / 2, "val_loss": loss})
    assert curves.summary() == {"epochs": 3, "best_epoch": 1}
    curves.save(tmp_path / "curves")
    table = pd.read_csv(tmp_path / "curves/loss.csv")
    assert table.columns.tolist() == ["member", "fit", "epoch", "metric", "value"]
    assert table[["member", "fit"]].drop_duplicates().values.tolist() == [["drugban", 0]]
    assert table.query("metric == 'val_loss'")["value"].tolist() == [0.7, 0.5, 0.6]
    assert pd.read_csv(tmp_path / "curves/auroc.csv").empty
    nothing = LearningCurves("base_rate", monitor="auroc")
    assert nothing.summary() == {"epochs": 0, "best_epoch": None}


def test_the_higher_auroc_wins_and_the_earlier_of_equals() -> None:
    curve = LearningCurve(monitor="auroc")
    for epoch, value in enumerate([0.6, 0.8, 0.8, np.float64(0.7)]):
        curve.add({"epoch": float(epoch), "val_auroc": float(value)})
    assert curve.summary().best_epoch == 1


def test_an_ensembles_curves_are_kept_fit_by_fit(tmp_path: Path) -> None:
    curves = LearningCurves("ensemble", monitor="auroc")
    for number, values in enumerate([[0.6, 0.9], [0.8, 0.7, 0.75]]):
        curve = curves.of_member("drugban", number)
        for epoch, value in enumerate(values):
            curve.add({"epoch": float(epoch), "val_auroc": value})
    curves.of_member("linear", 0)
    boosted = curves.of_member("boosted", 0)
    for trees, value in ((10, 0.7), (20, 0.6)):
        boosted.add({"epoch": trees - 1.0, "val_auroc": value})
    assert curves.summary() == {
        "members": {
            "drugban": {
                "0": Steps(epochs=2, best_epoch=1),
                "1": Steps(epochs=3, best_epoch=0),
            },
            "linear": {"0": Steps(epochs=0, best_epoch=None)},
            "boosted": {"0": Steps(epochs=20, best_epoch=9)},
        }
    }
    curves.save(tmp_path / "curves")
    table = pd.read_csv(tmp_path / "curves/auroc.csv")
    assert table[["member", "fit", "epoch"]].values.tolist() == [
        ["drugban", 0, 0],
        ["drugban", 0, 1],
        ["drugban", 1, 0],
        ["drugban", 1, 1],
        ["drugban", 1, 2],
        ["boosted", 0, 9],
        ["boosted", 0, 19],
    ]
