"""Fitting any registered model, by configuration."""

from __future__ import annotations

from stages.dti.config.model import AnyModel, EnsembleConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, Model
from stages.dti.training.domain import DomainAdaptation
from stages.dti.training.single import fit_single, require_no_adaptation


def fit(
    config: AnyModel,
    trainer: TrainerConfig,
    train: PairData,
    validation: PairData,
    context: FitContext,
    adaptation: DomainAdaptation | None = None,
) -> Model:
    """Fit the model that ``config`` names, an ensemble member by member.

    Raises:
        ConfigError: the model cannot adapt to another domain.
    """
    if isinstance(config, EnsembleConfig):
        from stages.dti.training.ensemble import fit_ensemble

        require_no_adaptation(config.name, adaptation)
        return fit_ensemble(config, trainer, train, validation, context)
    return fit_single(config, trainer, train, validation, context, adaptation)
