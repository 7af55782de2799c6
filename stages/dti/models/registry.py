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
from stages.dti.models.classical.registry import classical_class


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
    """Return the class of a registered model that is no ensemble.

    Raises:
        ValueError: there is no such model.
    """
    if name == "drugban":
        from stages.dti.models.drugban.model import DrugBAN

        return DrugBAN
    found = classical_class(name)
    if found is None:
        raise ValueError(f"no model is registered as {name!r}")
    return found


def load_model(config: AnyModel, folder: Path) -> Model:
    """Load the weights in ``folder``."""
    if isinstance(config, EnsembleConfig):
        from stages.dti.models.ensemble import load_ensemble

        return load_ensemble(config, folder, load_model)
    return model_class(config.name).load(config, folder)
