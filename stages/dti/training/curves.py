"""Learning curves: one row per epoch, as DVC plots them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from stages.dti.atomic import write_folder

CURVES = {
    "loss": ("train_loss", "val_loss"),
    "auroc": ("val_auroc",),
    "learning_rate": ("learning_rate",),
    "gradient_norm": ("gradient_norm",),
    "domain": ("domain_loss", "domain_accuracy"),
}
"""File name → the metrics that it draws, one row per epoch and metric."""


@dataclass
class LearningCurves:
    """What the epochs reported; ``monitor`` is maximised, unless it is ``loss``."""

    monitor: str
    epochs: list[dict[str, float]] = field(default_factory=list)

    def add(self, metrics: dict[str, float]) -> None:
        """Keep one epoch's metrics."""
        self.epochs.append(metrics)

    def summary(self) -> dict[str, Any]:
        """Return the number of epochs and the best one (``None`` where nothing was iterated)."""
        monitored = f"val_{self.monitor}"
        known = [epoch for epoch in self.epochs if monitored in epoch]
        if not known:
            return {"epochs": len(self.epochs), "best_epoch": None}
        sign = 1 if self.monitor == "loss" else -1
        best = min(known, key=lambda epoch: (sign * epoch[monitored], epoch["epoch"]))
        return {"epochs": len(self.epochs), "best_epoch": int(best["epoch"])}

    def adaptation(self, pairs: int) -> dict[str, Any]:
        """Return the domain discriminator's last loss and accuracy (``None``: it never began).

        At an accuracy of a half it cannot tell the ``pairs`` adapted to from those of train.
        """
        last = self.epochs[-1]
        measured = {name: last.get(name) for name in CURVES["domain"]}
        return {"pairs": pairs} | {
            name: None if value is None else round(value, 6) for name, value in measured.items()
        }

    def save(self, folder: Path) -> None:
        """Write ``<name>.csv`` (columns epoch, metric, value) for each of ``CURVES``."""
        with write_folder(folder) as temporary:
            for name, metrics in CURVES.items():
                rows = [
                    (int(epoch["epoch"]), metric, round(epoch[metric], 6))
                    for epoch in self.epochs
                    for metric in metrics
                    if metric in epoch
                ]
                table = pd.DataFrame(rows, columns=["epoch", "metric", "value"])
                table.to_csv(temporary / f"{name}.csv", index=False)
