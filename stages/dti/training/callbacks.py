"""What happens beside the steps of a fit, as callbacks of the trainer.

Their order matters, and ``drugban.py`` keeps it: an epoch's weights are kept before
``MovingAverage`` puts those that are trained back, and statistics are renewed after it has put the
averages in their place.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, WeightAveraging
from torch import Tensor

from stages.dti.config.trainer import TrainerConfig
from stages.dti.models.drugban.ops import RowBatchNorm
from stages.dti.runtime.progress import EACH_S, WITHIN_S, ProgressLog
from stages.dti.training.data import Job
from stages.dti.training.lightning_module import DrugBANModule
from stages.dti.training.processes import Process
from stages.dti.training.synchronised import shared_batch

STATISTICS_BATCHES = 16
"""Batches over which batch-norm statistics are computed before each validation."""

STATE = "state"
STATE_FILE = f"{STATE}.safetensors"

logger = logging.getLogger(__name__)


class SeededEpochs(Callback):
    """Seeds torch's own numbers at each epoch's start, so that a resumed fit draws the same."""

    def __init__(self, job: Job, process: Process) -> None:
        self._job, self._process = job, process

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed dropout."""
        torch.manual_seed(self._job.torch_seed(trainer.current_epoch, self._process.rank))


class KeptEpochs(Callback):
    """Keeps what each epoch reported, the best epoch's weights and those of every cycle's end.

    ``ModelCheckpoint`` could keep the best epoch in a file beside that of the last; a kill between
    the two would leave them at odds, and a fit without a checkpoint folder has nowhere to keep it.
    Here all is part of one state, which is written whole.

    Attributes:
        curve: what each epoch reported.
        best_epoch: the first with the best value of the monitored metric, from 0; -1: none yet.
        best: its weights and batch-norm statistics, as validated.
        snapshots: the same, at the end of each cycle of ``cyclic_cosine``.
    """

    def __init__(self, settings: TrainerConfig) -> None:
        self._settings = settings
        self._measured: dict[str, Tensor] = {}
        self.curve: list[dict[str, float]] = []
        self.best_epoch = -1
        self.best: dict[str, Tensor] = {}
        self.snapshots: list[dict[str, Tensor]] = []

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Copy the weights that were validated."""
        assert isinstance(pl_module, DrugBANModule)
        state = pl_module.network.state_dict()
        self._measured = {name: value.detach().cpu().clone() for name, value in state.items()}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the epoch's report, and its weights if they are the best or end a cycle."""
        assert isinstance(pl_module, DrugBANModule)
        settings, epoch = self._settings, trainer.current_epoch
        self.curve.append(pl_module.report)
        if self.best_epoch < 0 or self._value(epoch) > self._value(self.best_epoch):
            self.best_epoch, self.best = epoch, self._measured
        cycle = settings.max_epochs // settings.cycles
        if settings.schedule == "cyclic_cosine" and (epoch + 1) % cycle == 0:
            self.snapshots.append(self._measured)
        self._measured = {}

    def _value(self, epoch: int) -> float:
        """Return an epoch's monitored metric; higher is better."""
        monitor = self._settings.monitor
        return self.curve[epoch][f"val_{monitor}"] * (-1 if monitor == "loss" else 1)

    def state_dict(self) -> dict[str, Any]:
        """Return all that is kept."""
        return {
            "curve": self.curve,
            "best_epoch": self.best_epoch,
            "best": self.best,
            "snapshots": self.snapshots,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned."""
        vars(self).update(state_dict)


class MovingAverage(WeightAveraging):
    """Exponential moving average of the parameters, which is what is validated and kept.

    The decay of step t is min(decay, (1 + t) / (10 + t)), so that the random weights of the start
    are soon forgotten.
    """

    def __init__(self, decay: float) -> None:
        def update(averages: Any, present: Any, step: Tensor | int) -> None:
            t = int(step)
            torch._foreach_lerp_(averages, present, 1 - min(decay, (1 + t) / (10 + t)))

        super().__init__(use_buffers=False, multi_avg_fn=torch.no_grad()(update))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin with the initial weights, which count as the first of the average."""
        super().setup(trainer, pl_module, stage)
        assert self._average_model is not None
        self._average_model.n_averaged.fill_(1)


class RenewedStatistics(Callback):
    """Makes the batch-norm statistics those of the weights that are validated.

    The running averages mix statistics of older weights and of cropped sequences, which made
    validation jump between epochs; here they are computed anew, without crops or dropout.
    """

    def __init__(self, job: Job, process: Process) -> None:
        self._job, self._process = job, process
        self._rows = list(islice(job.statistics_rows(), STATISTICS_BATCHES))

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute them over the first batches of a fixed shuffle of train."""
        assert isinstance(pl_module, DrugBANModule)
        network = pl_module.network
        norms = [module for module in network.modules() if isinstance(module, RowBatchNorm)]
        momenta = [norm.momentum for norm in norms]
        network.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        for rows in self._rows:
            batch = shared_batch(self._process, self._job.train, rows, network)
            with trainer.precision_plugin.val_step_context():
                pl_module(batch.to(pl_module.device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


class Patience(EarlyStopping):
    """Early stopping that a fit which was killed after its last epoch remembers."""

    def __init__(self, settings: TrainerConfig) -> None:
        super().__init__(
            f"val_{settings.monitor}",
            patience=settings.patience_epochs,
            mode="min" if settings.monitor == "loss" else "max",
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train no further if patience had already run out; Lightning would one epoch more."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class ProgressLines(Callback):
    """Logs how far the fit is; the first process does so for all."""

    def __init__(self, settings: TrainerConfig, kept: KeptEpochs) -> None:
        self._settings, self._kept = settings, kept

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count the epochs."""
        total, done = self._settings.max_epochs, trainer.current_epoch
        self._epochs = ProgressLog("epochs", total, done=done, every_s=EACH_S)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count the batches."""
        what, total = f"batches of epoch {trainer.current_epoch}", int(trainer.num_training_batches)
        self._batches = ProgressLog(what, total, every_s=WITHIN_S)

    def on_train_batch_end(self, *_: Any) -> None:
        """Count one."""
        self._batches.advance()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what the epoch reported; in words, epochs are counted from 1."""
        last = self._kept.curve[-1]
        self._epochs.advance(
            words=f"loss {last['train_loss']:.4f} in train and {last['val_loss']:.4f} in "
            f"validation, validation AUROC {last['val_auroc']:.4f}, "
            f"best {self._settings.monitor} so far in epoch {self._kept.best_epoch + 1}"
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say why there are no more epochs."""
        done = len(self._kept.curve)
        if done < self._settings.max_epochs:
            logger.info(
                "stopped after %d epochs: val_%s has not improved for %d",
                done,
                self._settings.monitor,
                done - 1 - self._kept.best_epoch,
            )


def state_after_each_epoch(folder: Path) -> ModelCheckpoint:
    """Return the callback that keeps the last epoch's state as ``folder / STATE_FILE``."""
    callback = ModelCheckpoint(
        folder, STATE, save_on_train_epoch_end=True, enable_version_counter=False
    )
    callback.FILE_EXTENSION = ".safetensors"
    return callback


def in_order(job: Job, process: Process, kept: KeptEpochs) -> Sequence[Callback]:
    """Return the callbacks of a fit; Lightning calls the checkpoint's last."""
    settings = job.settings
    callbacks: list[Callback] = [SeededEpochs(job, process), kept]
    if settings.ema_decay:
        callbacks.append(MovingAverage(settings.ema_decay))
    callbacks.append(RenewedStatistics(job, process))
    if process.rank == 0:
        callbacks.append(ProgressLines(settings, kept))
    if job.until_stale:
        callbacks.append(Patience(settings))
    if job.checkpoint is not None:
        callbacks.append(state_after_each_epoch(job.checkpoint))
    return callbacks
