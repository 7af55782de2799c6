"""From a model's name to its configuration and its class, imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.dti.config.base import build
from stages.dti.config.model import (
    AnyModel,
    BaseRateConfig,
    DrugBANConfig,
    EnsembleConfig,
    ModelConfig,
    NearestNeighbourConfig,
)
from stages.dti.models.base import Model, SingleModel


def model_config(plain: dict[str, Any]) -> AnyModel:
    """Return the typed configuration of a stored model.

    Raises:
        ConfigError: the name or a field is unknown.
    """
    return build(ModelConfig, plain, "model").root


def reads_descriptors(config: AnyModel) -> bool:
    """Return whether a model reads the drugs' descriptors, which take longer than all the rest."""
    match config:
        case DrugBANConfig(drug=drug):
            return drug.name == "descriptors"
        case BaseRateConfig() | NearestNeighbourConfig():
            return False
        case EnsembleConfig(members=members):
            return any(reads_descriptors(member.config) for member in members.values())
    return True


def model_class(name: str) -> type[SingleModel]:
    """Return the class of a registered model that is no ensemble."""
    match name:
        case "drugban":
            from stages.dti.models.drugban.model import DrugBAN

            return DrugBAN
        case "base_rate":
            from stages.dti.models.classical.base_rate import BaseRate

            return BaseRate
        case "nearest_neighbour" | "similarity_vote":
            from stages.dti.models.classical.nearest_neighbour import NearestNeighbour

            return NearestNeighbour
        case "logistic_regression":
            from stages.dti.models.classical.logistic_regression import LogisticRegressionModel

            return LogisticRegressionModel
        case "gradient_boosting":
            from stages.dti.models.classical.gradient_boosting import GradientBoosting

            return GradientBoosting
    raise ValueError(f"no model is registered as {name!r}")


def load_model(config: AnyModel, folder: Path) -> Model:
    """Load the weights in ``folder``."""
    if isinstance(config, EnsembleConfig):
        from stages.dti.models.ensemble import load_ensemble

        return load_ensemble(config, folder, load_model)
    return model_class(config.name).load(config, folder)
