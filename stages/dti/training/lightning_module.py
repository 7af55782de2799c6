"""What DrugBAN learns from: the labels' loss, the domain loss, and the optimiser over both."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.dti.config.trainer import TrainerConfig
from stages.dti.models.drugban.batch import PairBatch
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.training.adaptation import Discriminator, domain_term, reversal_strength
from stages.dti.training.domain import DomainAdaptation
from stages.dti.training.processes import Process
from stages.dti.training.schedule import Schedule, make_optimizer, make_schedule
from stages.dti.training.synchronised import joint_representation


class Step:
    """The batches of one step; not a dataclass, since Fabric would try to rebuild a frozen one.

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


class DrugBANModule(pl.LightningModule):
    """Binary cross-entropy on logits, and with ``adaptation`` the adversarial domain loss."""

    def __init__(
        self,
        network: DrugBANNetwork,
        config: TrainerConfig,
        total_steps: int,
        process: Process,
        adaptation: DomainAdaptation | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.total_steps = total_steps
        self.process = process
        self.adaptation = adaptation
        self.discriminator: Discriminator | None = None
        if adaptation is not None:
            dim = network.interaction.dim
            self.discriminator = Discriminator(dim, adaptation.config.hidden_dim)

    def training_step(self, step: Step) -> dict[str, Tensor]:
        """Return ``loss`` and what is reported of it.

        Each is this process's part of the mean over the pairs of all processes: the parts sum to
        it, however unevenly the pairs are shared out.
        """
        assert step.source.labels is not None
        features = joint_representation(self.network, step.source)
        logits = self.network.classifier(features)
        labels_loss = (
            F.binary_cross_entropy_with_logits(logits.float(), step.source.labels, reduction="sum")
            / step.source_pairs
        )
        report = {"train_loss": labels_loss.detach()}
        if step.target is None:
            return {"loss": labels_loss, **report}
        domain_loss, accuracy = self._domain_loss(step, features, logits)
        assert self.adaptation is not None
        return {
            "loss": labels_loss + self.adaptation.config.weight * domain_loss,
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

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Schedule]:  # type: ignore[override]
        """Build the optimiser and the schedule that the configuration names."""
        rate = 0.0 if self.adaptation is None else self.adaptation.config.learning_rate
        optimizer = make_optimizer(self.network, self.discriminator, rate, self.config)
        return optimizer, make_schedule(optimizer, self.config, self.total_steps)
