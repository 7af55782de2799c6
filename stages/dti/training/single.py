"""Fitting a model that holds no others."""

from __future__ import annotations

from stages.dti.config.model import DrugBANConfig, SingleModel
from stages.dti.config.trainer import TrainerConfig
from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, Model
from stages.dti.training.classical import fit_classical
from stages.dti.training.domain import DomainAdaptation


def fit_single(
    config: SingleModel,
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
    require_no_adaptation(config.name, adaptation)
    return fit_classical(config, train, validation, context)


def require_no_adaptation(name: str, adaptation: DomainAdaptation | None) -> None:
    """Refuse to adapt a model that cannot.

    Raises:
        ConfigError: ``adaptation`` is wanted.
    """
    if adaptation is not None:
        raise ConfigError(
            f"model {name} cannot adapt to another domain; use model=drugban, or adaptation=none"
        )
