"""Learning curves: what every epoch of every fit reported, as DVC plots it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import pandas as pd

from stages.dti.artifacts.training import Adaptation, Steps
from stages.dti.files import write_folder

CURVES = {
    "loss": ("train_loss", "val_loss"),
    "auroc": ("val_auroc",),
    "learning_rate": ("learning_rate",),
    "gradient_norm": ("gradient_norm",),
    "domain": ("domain_loss", "domain_accuracy"),
}
"""File name → the metrics that it draws, one row per epoch and metric."""


@dataclass
class LearningCurve:
    """What the epochs of one fit reported; ``monitor`` is maximised, unless it is ``loss``."""

    monitor: str
    epochs: list[dict[str, float]] = field(default_factory=list)

    def add(self, metrics: dict[str, float]) -> None:
        """Keep one epoch's metrics."""
        self.epochs.append(metrics)

    def summary(self) -> Steps:
        """Return the number of epochs and the best one (``None`` where nothing was iterated).

        Boosting reports some of its rounds, which count as epochs up to the last one reported.
        """
        count = int(self.epochs[-1]["epoch"]) + 1 if self.epochs else 0
        monitored = f"val_{self.monitor}"
        known = [epoch for epoch in self.epochs if monitored in epoch]
        if not known:
            return Steps(epochs=count, best_epoch=None)
        sign = 1 if self.monitor == "loss" else -1
        best = min(known, key=lambda epoch: (sign * epoch[monitored], epoch["epoch"]))
        return Steps(epochs=count, best_epoch=int(best["epoch"]))

    def adaptation(self, pairs: int) -> Adaptation:
        """Return the domain discriminator's last loss and accuracy (``None``: it never began).

        At an accuracy of a half it cannot tell the ``pairs`` adapted to from those of train.
        """
        last = self.epochs[-1]
        loss, accuracy = (
            None if (value := last.get(name)) is None else round(value, 6)
            for name in CURVES["domain"]
        )
        return Adaptation(pairs=pairs, domain_loss=loss, domain_accuracy=accuracy)


class Summary(TypedDict, total=False):
    """What curves say for ``artifacts/training.py``: steps of the model, or of every member."""

    epochs: int
    best_epoch: int | None
    members: dict[str, dict[str, Steps]]


class LearningCurves:
    """A model's learning curve; of an ensemble, those of its members' fits instead.

    Attributes:
        own: the curve of a model that is no ensemble.
    """

    def __init__(self, model: str, monitor: str) -> None:
        self.own = LearningCurve(monitor)
        self._model = model
        self._members: dict[str, dict[int, LearningCurve]] = {}

    def of_member(self, name: str, number: int) -> LearningCurve:
        """Return the curve, empty yet, of one fit of an ensemble's member."""
        curve = LearningCurve(self.own.monitor)
        self._members.setdefault(name, {})[number] = curve
        return curve

    def summary(self) -> Summary:
        """Return the curve's summary; of an ensemble, ``members.<name>.<number>``: each fit's."""
        if not self._members:
            own = self.own.summary()
            return {"epochs": own.epochs, "best_epoch": own.best_epoch}
        members = {
            name: {str(number): curve.summary() for number, curve in fits.items()}
            for name, fits in self._members.items()
        }
        return {"members": members}

    def save(self, folder: Path) -> None:
        """Write ``<name>.csv`` for each of ``CURVES``.

        Its columns are member, fit, epoch, metric, value. A model that is no ensemble is its own
        only member.
        """
        curves = self._members or {self._model: {0: self.own}}
        with write_folder(folder) as temporary:
            for name, metrics in CURVES.items():
                rows = [
                    (member, number, int(epoch["epoch"]), metric, round(epoch[metric], 6))
                    for member, fits in curves.items()
                    for number, curve in fits.items()
                    for epoch in curve.epochs
                    for metric in metrics
                    if metric in epoch
                ]
                columns = ["member", "fit", "epoch", "metric", "value"]
                table = pd.DataFrame(rows, columns=columns)
                table.to_csv(temporary / f"{name}.csv", index=False)
