"""Fitting the classical models, by configuration."""

from __future__ import annotations

from stages.dti.config.model import (
    AnyModel,
    BaseRateConfig,
    GradientBoostingConfig,
    LogisticRegressionConfig,
    NearestNeighbourConfig,
)
from stages.dti.errors import ConfigError
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, Model


def fit_classical(
    config: AnyModel, train: PairData, validation: PairData, context: FitContext
) -> Model:
    """Fit a classical model; its class is imported when it is needed.

    Raises:
        ConfigError: the configuration is that of a neural model.
    """
    match config:
        case BaseRateConfig():
            from stages.dti.models.classical.base_rate import BaseRate

            return BaseRate.fit(config, train, validation, context)
        case NearestNeighbourConfig():
            from stages.dti.models.classical.nearest_neighbour import NearestNeighbour

            return NearestNeighbour.fit(config, train, validation, context)
        case LogisticRegressionConfig():
            from stages.dti.models.classical.logistic_regression import LogisticRegressionModel

            return LogisticRegressionModel.fit(config, train, validation, context)
        case GradientBoostingConfig():
            from stages.dti.models.classical.gradient_boosting import GradientBoosting

            return GradientBoosting.fit(config, train, validation, context)
    raise ConfigError(f"{config.name} is no classical model, so it cannot be a baseline")
