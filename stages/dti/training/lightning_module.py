"""What DrugBAN learns from, and how an epoch is measured: losses, gradients, metrics, optimiser."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from stages.dti.config.adaptation import CdanConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.errors import ConfigError
from stages.dti.models.drugban.batch import PairBatch
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.training.adaptation import Discriminator, domain_term, reversal_strength
from stages.dti.training.processes import Process
from stages.dti.training.schedule import make_optimizer, make_schedule
from stages.dti.training.synchronised import joint_representation


class Step:
    """The batches of one step; not a dataclass, since Lightning would try to rebuild a frozen one.

    Attributes:
        source: labelled pairs of train, this process's share.
        source_pairs: how many pairs all processes hold together.
        target: unlabelled pairs of the test domain, likewise; ``None``: no adaptation.
        progress: from 0 at the first step that adapts to 1 at the last.
    """

    def __init__(
        self,
        source: PairBatch,
        source_pairs: int,
        target: PairBatch | None = None,
        target_pairs: int = 0,
        progress: float = 0.0,
    ) -> None:
        self.source, self.source_pairs = source, source_pairs
        self.target, self.target_pairs = target, target_pairs
        self.progress = progress

    def to(self, device: torch.device) -> Self:
        """Return a copy with its tensors on ``device``."""
        target = None if self.target is None else self.target.to(device)
        pairs = self.source_pairs, self.target_pairs
        return type(self)(self.source.to(device), pairs[0], target, pairs[1], self.progress)


class Scored:
    """A batch to score: this process's share of it.

    Attributes:
        rows: int64 ``(pairs,)``, where its pairs stand among all.
        batch: the pairs; ``None``: the share is empty.
    """

    def __init__(self, rows: NDArray[np.int64], batch: PairBatch | None) -> None:
        self.rows, self.batch = rows, batch

    def to(self, device: torch.device) -> Self:
        """Return a copy with its tensors on ``device``."""
        return type(self)(self.rows, None if self.batch is None else self.batch.to(device))


class DrugBANModule(pl.LightningModule):
    """Binary cross-entropy on logits, and with ``adaptation`` the adversarial domain loss.

    It holds no pairs, since averaging copies it whole.

    Args:
        labels: of validation, float32 ``(pairs,)``.
        facts: what the weights depend on beside the settings; kept in checkpoints.

    Attributes:
        report: what the last epoch reported.
    """

    def __init__(
        self,
        network: DrugBANNetwork,
        config: TrainerConfig,
        process: Process,
        labels: NDArray[np.float32],
        adaptation: CdanConfig | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.process = process
        self.labels = labels
        self.adaptation = adaptation
        self.facts = facts
        self.discriminator: Discriminator | None = None
        if adaptation is not None:
            self.discriminator = Discriminator(network.interaction.dim, adaptation.hidden_dim)
        self.report: dict[str, float] = {}
        self._steps: list[dict[str, Tensor]] = []
        self._norms: list[Tensor] = []
        self._logits = torch.empty(0)

    def forward(self, batch: PairBatch) -> Tensor:
        """Return float32 logits ``(pairs,)``."""
        logits: Tensor = self.network.classifier(joint_representation(self.network, batch))
        return logits.float()

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move a ``Step`` or ``Scored``, which Lightning would take apart."""
        return batch.to(device)

    def on_train_epoch_start(self) -> None:
        """Forget the steps of the epoch before."""
        self._steps, self._norms = [], []

    def training_step(self, step: Step, _number: int = 0) -> Tensor:
        """Return the loss; gradients are averaged over processes, and ours are parts of a sum."""
        report = self.losses(step)
        loss = report.pop("loss")
        self._steps.append(report)
        return loss * self.process.count

    def losses(self, step: Step) -> dict[str, Tensor]:
        """Return ``loss`` and what is reported of it.

        Each is this process's part of the mean over the pairs of all processes: the parts sum to
        it, however unevenly the pairs are shared out.
        """
        assert step.source.labels is not None
        features = joint_representation(self.network, step.source)
        logits = self.network.classifier(features)
        labels_loss = (
            F.binary_cross_entropy_with_logits(
                logits.float(), step.source.labels, weight=step.source.weights, reduction="sum"
            )
            / step.source_pairs
        )
        report = {"train_loss": labels_loss.detach()}
        if step.target is None:
            return {"loss": labels_loss, **report}
        domain_loss, accuracy = self._domain_loss(step, features, logits)
        assert self.adaptation is not None
        return {
            "loss": labels_loss + self.adaptation.weight * domain_loss,
            "domain_loss": domain_loss.detach(),
            "domain_accuracy": accuracy,
            **report,
        }

    def _domain_loss(self, step: Step, features: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return this process's part of the domain loss and of the discriminator's accuracy."""
        assert step.target is not None
        assert step.target.labels is None
        assert self.discriminator is not None
        strength = reversal_strength(step.progress)
        target_features = joint_representation(self.network, step.target)
        target_logits = self.network.classifier(target_features)
        terms = (
            domain_term(self.discriminator, features, logits, 0, strength),
            domain_term(self.discriminator, target_features, target_logits, 1, strength),
        )
        weights = self.process.total(torch.stack([term.weight for term in terms]))
        loss = torch.stack([term.loss for term in terms]) / weights
        pairs = step.source_pairs + step.target_pairs
        return loss.sum(), (terms[0].correct + terms[1].correct) / pairs

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimiser and the schedule that the configuration names."""
        rate = 0.0 if self.adaptation is None else self.adaptation.learning_rate
        optimizer = make_optimizer(self.network, self.discriminator, rate, self.config)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = make_schedule(optimizer, self.config, steps)
        if schedule is None:
            return optimizer
        # In steps, though a plateau is one of epochs: what goes by epochs comes after the epoch's
        # checkpoint, and would be lost on the way to a fit that resumes.
        plateau = self.config.schedule == "reduce_on_plateau"
        frequency = int(self.trainer.num_training_batches) if plateau else 1
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": schedule,
                "interval": "step",
                "frequency": frequency,
                "monitor": "val_loss",
            },
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient's norm, which is also reported as it was before."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        limit = gradient_clip_val or float("inf")
        self._norms.append(
            torch.nn.utils.clip_grad_norm_(parameters, limit, error_if_nonfinite=True)
        )

    def on_validation_epoch_start(self) -> None:
        """Make room for the logits."""
        self._logits = torch.zeros(len(self.labels), device=self.device)

    def validation_step(self, scored: Scored, _number: int) -> None:
        """Score a batch."""
        if scored.batch is not None:
            self._logits[torch.from_numpy(scored.rows)] = self(scored.batch)

    def on_validation_epoch_end(self) -> None:
        """Measure the epoch.

        Raises:
            ConfigError: training diverged.
        """
        logits = self.process.total(self._logits).cpu()
        score = logits.double().numpy()
        if not np.isfinite(score).all():
            raise ConfigError(
                f"training diverged in epoch {self.current_epoch}: the scores of validation are "
                "no numbers; lower trainer.learning_rate, or clip with trainer.gradient_clip_val"
            )
        loss = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(self.labels))
        means = {
            name: torch.stack([s[name] for s in self._steps]).mean() for name in self._steps[0]
        }
        self.report = {
            "epoch": float(self.current_epoch),
            **{name: float(self.process.total(mean)) for name, mean in means.items()},
            "gradient_norm": float(torch.stack(self._norms).mean()),
            "val_loss": float(loss),
            "val_auroc": float(roc_auc_score(self.labels, score)),
            "val_auprc": float(average_precision_score(self.labels, score)),
            "learning_rate": float(self.trainer.optimizers[0].param_groups[0]["lr"]),
        }
        self.log("val_loss", loss, logger=False)  # for a schedule that waits for a plateau

    def on_train_epoch_end(self) -> None:
        """Hand the report to early stopping and the logger, in full precision."""
        for name, value in self.report.items():
            self.log(name, torch.tensor(value, dtype=torch.float64))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the facts, by which a fit knows its own checkpoint."""
        checkpoint["facts"] = self.facts
