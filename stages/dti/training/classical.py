"""Fitting the classical models, by configuration."""

from __future__ import annotations

from stages.dti.config.model import AnyModel
from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, Model
from stages.dti.models.classical.registry import classical_class


def fit_classical(
    config: AnyModel, train: PairData, validation: PairData, context: FitContext
) -> Model:
    """Fit a classical model; its class is imported when it is needed.

    Raises:
        ConfigError: the configuration is that of a neural model, or pairs have weights and the
            model no loss that they could change.
    """
    found = classical_class(config.name)
    if found is None:
        raise ConfigError(f"{config.name} is no classical model, so it cannot be a baseline")
    if train.weights is not None and not found.weighs_pairs:
        raise ConfigError(
            f"model {config.name} cannot weight pairs; use trainer.class_weight=none, or another "
            "model"
        )
    return found.fit(config, train, validation, context)
