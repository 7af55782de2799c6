"""Lightning's logger that hands each epoch's report to whoever asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger

from stages.dti.models.base import OnEpoch


class EpochLogger(Logger):
    """Calls ``on_epoch`` once per epoch, after its state is written.

    It knows no tracking server: that is the caller's business, as it is for models that Lightning
    does not train.
    """

    name = "epochs"
    version = 0

    def __init__(self, on_epoch: OnEpoch) -> None:
        super().__init__()
        self._on_epoch = on_epoch

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Report an epoch."""
        self._on_epoch(dict(metrics))

    def log_hyperparams(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing: whoever asked knows them."""
