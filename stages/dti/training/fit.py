"""Fitting any registered model, by configuration."""

from __future__ import annotations

from stages.dti.config.model import AnyModel, DrugBANConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, Model
from stages.dti.training.classical import fit_classical


def fit(
    config: AnyModel,
    trainer: TrainerConfig,
    train: PairData,
    validation: PairData,
    context: FitContext,
) -> Model:
    """Fit the model that ``config`` names; torch is imported only for a neural one."""
    if isinstance(config, DrugBANConfig):
        from stages.dti.training.drugban import fit_drugban

        return fit_drugban(config, trainer, train, validation, context)
    return fit_classical(config, train, validation, context)
