"""Training a model: the one function behind the stage, and behind all that trains again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stages.dti.config.model import AnyModel, EnsembleConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, Model, OnEpoch
from stages.dti.training.curves import LearningCurve, LearningCurves
from stages.dti.training.devices import require_devices
from stages.dti.training.domain import DomainAdaptation
from stages.dti.training.single import fit_single, require_no_adaptation
from stages.dti.training.weights import weighted


@dataclass(frozen=True)
class TrainedModel:
    """A fitted model, and what the epochs of every fit reported."""

    model: Model
    curves: LearningCurves


def train_model(
    config: AnyModel,
    trainer: TrainerConfig,
    train: PairData,
    validation: PairData,
    context: FitContext,
    adaptation: DomainAdaptation | None = None,
) -> TrainedModel:
    """Fit the model that ``config`` names on ``train``, an ensemble member by member.

    Args:
        train: labelled; if ``trainer.class_weight`` asks for it, its pairs are weighted by class.
        validation: labelled, of both classes; chooses the best epoch or round, and how members of
            an ensemble combine.
        context: what else the fit may use, and who hears of its epochs.
        adaptation: unlabelled pairs of the domain to adapt to.

    Raises:
        ConfigError: this machine lacks the devices that ``trainer`` asks for, the model cannot
            adapt or be weighted, or training diverged.
    """
    require_devices(trainer, config)
    curves = LearningCurves(config.name, trainer.monitor)

    def on_fit(member: str, number: int) -> OnEpoch:
        return _kept(curves.of_member(member, number), context.on_fit(member, number))

    listening = replace(context, on_epoch=_kept(curves.own, context.on_epoch), on_fit=on_fit)
    pairs = weighted(train, trainer.class_weight)
    model: Model
    if isinstance(config, EnsembleConfig):
        from stages.dti.training.ensemble import fit_ensemble

        require_no_adaptation(config.name, adaptation)
        model = fit_ensemble(config, trainer, pairs, validation, listening)
    else:
        model = fit_single(config, trainer, pairs, validation, listening, adaptation)
    return TrainedModel(model, curves)


def _kept(curve: LearningCurve, on_epoch: OnEpoch) -> OnEpoch:
    def keep(metrics: dict[str, float]) -> None:
        curve.add(metrics)
        on_epoch(metrics)

    return keep
