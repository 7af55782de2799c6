"""``reports/training_metrics.json``: how long the candidate was fitted, and how well."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stages.dti.artifacts.base import Artifact, Count, Share


class Steps(Artifact):
    """How long one fit took.

    Attributes:
        epochs: or rounds of boosting; 0 where nothing was iterated.
        best_epoch: counted from 0; ``None`` where nothing was iterated.
    """

    epochs: Count
    best_epoch: Count | None


class Adaptation(Artifact):
    """Domain adaptation: pairs adapted to, and the discriminator in the last epoch.

    ``domain_loss`` and ``domain_accuracy`` are ``None`` where it never began.
    """

    pairs: Count
    domain_loss: Annotated[float, Field(ge=0)] | None
    domain_accuracy: Share | None


class Validated(Artifact):
    """How well a model's score does on validation."""

    val_pairs: Count
    val_auroc: Share
    val_auprc: Share


class Training(Validated):
    """What ``train`` reports.

    Attributes:
        epochs, best_epoch: as in ``Steps``, unless the model is an ensemble.
        members: of an ensemble, member → number of each fit → its steps.
        adaptation: with domain adaptation alone.
    """

    model: str
    epochs: Count | None = None
    best_epoch: Count | None = None
    members: dict[str, dict[str, Steps]] | None = None
    adaptation: Adaptation | None = None

    @property
    def fits(self) -> dict[str, dict[int, Steps]]:
        """Member → number of each fit → its steps, sorted; a single model is its only member."""
        if self.members is None:
            assert self.epochs is not None
            return {self.model: {0: Steps(epochs=self.epochs, best_epoch=self.best_epoch)}}
        return {
            member: {number: fits[str(number)] for number in sorted(map(int, fits))}
            for member, fits in sorted(self.members.items())
        }
