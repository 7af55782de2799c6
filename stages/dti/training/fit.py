"""Fitting any registered model, by configuration."""

from __future__ import annotations

from stages.dti.config.model import AnyModel, DrugBANConfig, EnsembleConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, Model
from stages.dti.training.classical import fit_classical
from stages.dti.training.domain import DomainAdaptation


def fit(
    config: AnyModel,
    trainer: TrainerConfig,
    train: PairData,
    validation: PairData,
    context: FitContext,
    adaptation: DomainAdaptation | None = None,
) -> Model:
    """Fit the model that ``config`` names; torch is imported only for a neural one.

    Raises:
        ConfigError: the model cannot adapt to another domain.
    """
    if isinstance(config, DrugBANConfig):
        from stages.dti.training.drugban import fit_drugban

        return fit_drugban(config, trainer, train, validation, context, adaptation)
    if adaptation is not None:
        raise ConfigError(
            f"model {config.name} cannot adapt to another domain; use model=drugban, or "
            "adaptation=none"
        )
    if isinstance(config, EnsembleConfig):
        from stages.dti.training.ensemble import fit_ensemble

        return fit_ensemble(config, trainer, train, validation, context)
    return fit_classical(config, train, validation, context)
