"""The training loop: epochs, validation, early stopping, and a state to resume from after each.

A run that was killed and resumed draws the numbers that an uninterrupted one draws (``job.py``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.models.base import OnEpoch
from stages.dti.models.drugban.batch import PairBatch
from stages.dti.runtime.progress import EACH_S, WITHIN_S, ProgressLog
from stages.dti.training.averaging import MovingAverage, renew_statistics
from stages.dti.training.job import Job
from stages.dti.training.lightning_module import DrugBANModule, Step
from stages.dti.training.processes import Process
from stages.dti.training.state import load_state, save_state
from stages.dti.training.synchronised import joint_representation, shared_batch, synchronise

STATISTICS_BATCHES = 16
"""Batches over which batch-norm statistics are computed before each validation."""

STATE_FILE = "state.safetensors"

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a fit is, and what it keeps.

    Attributes:
        epoch: epochs that are done.
        best_value: the monitored metric of the best epoch, higher is better.
        stale: epochs since the best one.
        best: its weights and batch-norm statistics.
        snapshots: the same, at the end of each cycle of ``cyclic_cosine``.
        curve: what each epoch reported.
    """

    epoch: int = 0
    best_value: float | None = None
    stale: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    snapshots: list[dict[str, Tensor]] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)


class Loop:
    """Trains ``module`` in this process, together with the others of ``process.count``."""

    def __init__(
        self,
        job: Job,
        module: DrugBANModule,
        fabric: Fabric,
        process: Process,
        on_epoch: OnEpoch,
    ) -> None:
        self.job, self.module, self.fabric, self.process = job, module, fabric, process
        self.on_epoch = on_epoch
        self.progress = Progress()
        self.network = module.network
        if process.count > 1:
            synchronise(self.network)
        optimizer, self.schedule = module.configure_optimizers()
        self.optimizer = optimizer
        # Fabric's types are any module's and any optimiser's.
        wrapped: Any = fabric.setup(module, optimizer)
        self.wrapped, self.stepper = wrapped
        decay = job.settings.ema_decay
        self.average = MovingAverage(self.network, decay) if decay else None
        self.statistics_rows = list(islice(job.statistics_rows(), STATISTICS_BATCHES))

    def run(self) -> Progress:
        """Train to the end, from the state that an interrupted run left, if it did."""
        self._resume()
        for metrics in self.progress.curve:
            self.on_epoch(metrics)
        settings = self.job.settings
        told = ProgressLog("epochs", settings.max_epochs, done=self.progress.epoch, every_s=EACH_S)
        while not self._is_done():
            epoch = self.progress.epoch
            torch.manual_seed(self.job.torch_seed(epoch, self.process.rank))
            report = self._train_epoch(epoch)
            self._validate_and_keep(report)
            self._save()
            self.on_epoch(self.progress.curve[-1])
            if self.process.rank == 0:
                told.advance(words=self._in_words())
        if self.process.rank == 0 and self.progress.epoch < settings.max_epochs:
            logger.info(
                "stopped after %d epochs: %s has not improved for %d",
                self.progress.epoch,
                f"val_{settings.monitor}",
                self.progress.stale,
            )
        return self.progress

    def _in_words(self) -> str:
        """Say what the last epoch reported; in words, epochs are counted from 1."""
        last, settings = self.progress.curve[-1], self.job.settings
        best = self.progress.epoch - self.progress.stale
        return (
            f"loss {last['train_loss']:.4f} in train and {last['val_loss']:.4f} in validation, "
            f"validation AUROC {last['val_auroc']:.4f}, "
            f"best {settings.monitor} so far in epoch {best}"
        )

    def _is_done(self) -> bool:
        settings, progress = self.job.settings, self.progress
        stale = self.job.until_stale and progress.stale >= settings.patience_epochs
        return progress.epoch >= settings.max_epochs or stale

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """Take every step of an epoch; return the means over steps of what they report."""
        settings, module = self.job.settings, self.module
        module.train()
        reports: list[dict[str, Tensor]] = []
        norms: list[Tensor] = []
        told = ProgressLog(f"batches of epoch {epoch}", self.job.batches, every_s=WITHIN_S)
        for number, step in enumerate(self._steps(epoch), start=1):
            # Fabric sets the precision by itself only where it wraps the module, as for DDP.
            with self.fabric.autocast():
                report = self.wrapped.training_step(step)
            # Gradients are averaged over processes, and ours are parts of a sum.
            share = self.process.count / settings.accumulate_batches
            self.fabric.backward(report.pop("loss") * share)
            reports.append(report)
            if number % settings.accumulate_batches == 0 or number == self.job.batches:
                norm = self.fabric.clip_gradients(
                    module, self.stepper, max_norm=settings.gradient_clip_norm or float("inf")
                )
                assert norm is not None
                norms.append(norm)
                self.stepper.step()
                self.stepper.zero_grad()
                self.schedule.after_step()
                if self.average is not None:
                    self.average.update(self.network)
            if self.process.rank == 0:
                told.advance()
        means = {name: torch.stack([r[name] for r in reports]).mean() for name in reports[0]}
        return {name: float(self.process.total(mean)) for name, mean in means.items()} | {
            "gradient_norm": float(torch.stack(norms).mean())
        }

    def _steps(self, epoch: int) -> Iterator[Step]:
        """Yield this process's share of each batch."""
        job, adaptation = self.job, self.job.adaptation
        adapting = adaptation is not None and epoch >= adaptation.config.start_epoch
        target_rows = job.target_rows(epoch) if adapting else repeat(None)
        for number, (rows, others) in enumerate(
            zip(job.train_rows(epoch), target_rows, strict=False)
        ):
            random = job.crops(epoch, number, self.process.rank)
            source = self._batch(job.train, rows, random)
            if others is None:
                yield Step(source, len(rows))
                continue
            assert adaptation is not None
            start = adaptation.config.start_epoch * job.batches
            span = max(1, job.settings.max_epochs * job.batches - start - 1)
            yield Step(
                source,
                len(rows),
                self._batch(adaptation.pairs, others, random),
                len(others),
                (epoch * job.batches + number - start) / span,
            )

    def _batch(
        self, data: PairData, rows: NDArray[np.int64], random: np.random.Generator | None = None
    ) -> PairBatch:
        crop = 0 if random is None else self.job.settings.crop_residues
        batch = shared_batch(self.process, data, rows, self.network, crop, random)
        return batch.to(self.fabric.device)

    def _validate_and_keep(self, report: dict[str, float]) -> None:
        """Measure the epoch's weights (their average, if there is one) and keep the best."""
        settings, progress = self.job.settings, self.progress
        rate = float(self.optimizer.param_groups[0]["lr"])
        if self.average is None:
            metrics, kept = self._validate()
        else:
            with self.average.applied(self.network):
                metrics, kept = self._validate()
        self.schedule.after_epoch(metrics["val_loss"])
        value = metrics[f"val_{settings.monitor}"] * (-1 if settings.monitor == "loss" else 1)
        progress.stale += 1
        if progress.best_value is None or value > progress.best_value:
            progress.best_value, progress.stale, progress.best = value, 0, kept
        if settings.schedule == "cyclic_cosine":
            done = progress.epoch + 1
            if done % (settings.max_epochs // settings.cycles) == 0:
                progress.snapshots.append(kept)
        progress.curve.append(
            {"epoch": float(progress.epoch), **report, **metrics, "learning_rate": rate}
        )
        progress.epoch += 1

    def _validate(self) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Return the metrics on validation, and the weights and statistics measured."""
        network, validation = self.network, self.job.validation
        assert validation.labels is not None

        def forward(batch: PairBatch) -> Tensor:
            with self.fabric.autocast():
                logits: Tensor = network.classifier(joint_representation(network, batch))
            return logits.float()

        batches = (self._batch(self.job.train, rows) for rows in self.statistics_rows)
        renew_statistics(network, batches, forward)
        order = np.argsort(validation.target_index, kind="stable")
        logits = torch.zeros(len(order), device=self.fabric.device)
        with torch.no_grad():
            for rows in np.array_split(order, max(1, len(order) // self.job.settings.batch_size)):
                own = self.process.share(rows)
                if len(own):
                    logits[torch.from_numpy(own)] = forward(self._batch(validation, rows))
        logits = self.process.total(logits).cpu()
        truth, score = validation.labels, logits.double().numpy()
        if not np.isfinite(score).all():
            raise ConfigError(
                f"training diverged in epoch {self.progress.epoch}: the scores of validation are "
                "no numbers; lower trainer.learning_rate, or clip with trainer.gradient_clip_norm"
            )
        loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(truth))
        metrics = {
            "val_loss": float(loss),
            "val_auroc": float(roc_auc_score(truth, score)),
            "val_auprc": float(average_precision_score(truth, score)),
        }
        return metrics, {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}

    @property
    def _state_file(self) -> Path | None:
        folder = self.job.checkpoint
        return None if folder is None else folder / STATE_FILE

    def _facts(self) -> dict[str, Any]:
        """Return what the numbers depend on beside the settings: versions, devices, precision."""
        return {
            "seed": self.job.seed,
            "model": self.job.model.model_dump(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "device": str(self.fabric.device),
            "precision": self.fabric._precision.precision,
        }

    def _save(self) -> None:
        if self._state_file is None or self.process.rank:
            return
        average = self.average
        save_state(
            self._state_file,
            {
                "facts": self._facts(),
                "progress": vars(self.progress),
                "module": self.module.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "average": None
                if average is None
                else {"steps": average.steps, "values": average.values},
            },
        )

    def _resume(self) -> None:
        if self._state_file is None or not self._state_file.is_file():
            return
        state = load_state(self._state_file)
        if state["facts"] != self._facts():
            logger.info("starting anew: %s was written by %s", self._state_file, state["facts"])
            return
        self.progress = Progress(**state["progress"])
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.average is not None:
            self.average.steps = state["average"]["steps"]
            self.average.values = state["average"]["values"]
        logger.info("resumed after epoch %d", self.progress.epoch - 1)
