"""DrugBAN's training step, optimiser and validation as a LightningModule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)

from stages.dti.config.trainer import TrainerConfig
from stages.dti.models.drugban.batch import PairBatch
from stages.dti.models.drugban.encoders import RowBatchNorm
from stages.dti.models.drugban.network import DrugBANNetwork


class DrugBANModule(pl.LightningModule):
    """Binary cross-entropy on logits; validation AUROC, AUPRC and loss after each epoch."""

    def __init__(
        self,
        network: DrugBANNetwork,
        config: TrainerConfig,
        total_steps: int,
        statistics_batches: list[PairBatch],
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.total_steps = total_steps
        self.statistics_batches = statistics_batches
        self.epoch_metrics: dict[str, float] = {}
        self._train_losses: list[Tensor] = []
        self._gradient_norms: list[float] = []
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def transfer_batch_to_device(
        self, batch: PairBatch, device: torch.device, _index: int
    ) -> PairBatch:
        """Move a batch; Lightning's own way cannot move a frozen dataclass."""
        return batch.to(device)

    def training_step(self, batch: PairBatch, _index: int) -> Tensor:
        """Return the batch's mean loss."""
        assert batch.labels is not None
        loss = F.binary_cross_entropy_with_logits(self.network(batch).float(), batch.labels)
        self._train_losses.append(loss.detach())
        return loss

    def on_before_optimizer_step(self, _optimizer: Any) -> None:
        """Record the gradient norm before clipping."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        self._gradient_norms.append(float(torch.nn.utils.get_total_norm(gradients)))

    def on_validation_epoch_start(self) -> None:
        """Make the batch-norm statistics those of the present weights.

        The running averages mix statistics of older weights and of cropped sequences, which made
        validation jump between epochs; here they are computed anew, without crops or dropout.
        """
        norms = [m for m in self.network.modules() if isinstance(m, RowBatchNorm)]
        momenta = [norm.momentum for norm in norms]
        self.network.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        with torch.no_grad():
            for batch in self.statistics_batches:
                self.network(batch.to(self.device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()

    def validation_step(self, batch: PairBatch, _index: int) -> None:
        """Collect logits and labels."""
        assert batch.labels is not None
        self._logits.append(self.network(batch).float().cpu())
        self._labels.append(batch.labels.cpu())

    def on_validation_epoch_end(self) -> None:
        """Compute the epoch's metrics and log the monitored one for the callbacks."""
        logits, labels = torch.cat(self._logits), torch.cat(self._labels)
        loss = F.binary_cross_entropy_with_logits(logits, labels)
        truth, score = labels.numpy(), logits.double().numpy()
        self.epoch_metrics = {
            "train_loss": float(torch.stack(self._train_losses).mean()),
            "val_loss": float(loss),
            "val_auroc": float(roc_auc_score(truth, score)),
            "val_auprc": float(average_precision_score(truth, score)),
            "learning_rate": float(self.optimizers().param_groups[0]["lr"]),  # type: ignore[union-attr]
            "gradient_norm": float(np.mean(self._gradient_norms)),
        }
        for name in ("val_loss", "val_auroc", "val_auprc"):
            self.log(name, self.epoch_metrics[name], prog_bar=True, batch_size=len(truth))
        for buffer in (self._train_losses, self._gradient_norms, self._logits, self._labels):
            buffer.clear()

    def configure_optimizers(self) -> Any:
        """Build the optimiser and the schedule that the configuration names."""
        config = self.config
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        decayed = [p for p in self.parameters() if p.ndim > 1]
        # Biases, batch-norm weights and the weight-normalisation scales are not decayed.
        other = [p for p in self.parameters() if p.ndim <= 1]
        optimizer = kind(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": other, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )
        schedule: LRScheduler | ReduceLROnPlateau
        match config.schedule:
            case "one_cycle":
                schedule = OneCycleLR(
                    optimizer,
                    max_lr=config.learning_rate,
                    total_steps=self.total_steps,
                    pct_start=config.warmup_fraction,
                )
            case "cosine":
                schedule = CosineAnnealingLR(optimizer, T_max=self.total_steps)
            case "reduce_on_plateau":
                schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
                return {
                    "optimizer": optimizer,
                    "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"},
                }
            case "constant":
                return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
