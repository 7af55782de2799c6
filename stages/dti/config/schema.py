"""Every section of params.yaml with its class; a stage imports only the ones that it reads."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.adaptation import AdaptationConfig
from stages.dti.config.base import build
from stages.dti.config.benchmark import BenchmarkConfig
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.execution import ExecutionConfig
from stages.dti.config.features import FeaturesConfig, FeaturizeConfig
from stages.dti.config.model import (
    BaselinesConfig,
    DrugBANConfig,
    EnsembleConfig,
    ModelConfig,
)
from stages.dti.config.prepare import PrepareConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.config.report import ReportConfig
from stages.dti.config.screen import ScreenConfig
from stages.dti.config.serve import ServeConfig
from stages.dti.config.split import SplitConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.config.trainer import TrainConfig, TrainerConfig
from stages.dti.config.validate import ValidateConfig
from stages.dti.errors import ConfigError, nearest

SCHEMA: dict[str, type[BaseModel]] = {
    "acquire": AcquireConfig,
    "adaptation": AdaptationConfig,
    "baselines": BaselinesConfig,
    "benchmark": BenchmarkConfig,
    "dataset": DatasetConfig,
    "environment": EnvironmentConfig,
    "evaluate": EvaluateConfig,
    "execution": ExecutionConfig,
    "features": FeaturesConfig,
    "featurize": FeaturizeConfig,
    "model": ModelConfig,
    "prepare": PrepareConfig,
    "promote": PromoteConfig,
    "report": ReportConfig,
    "screen": ScreenConfig,
    "serve": ServeConfig,
    "split": SplitConfig,
    "standardise": StandardiseConfig,
    "tracking": TrackingConfig,
    "train": TrainConfig,
    "trainer": TrainerConfig,
    "validate": ValidateConfig,
}


def check(config: dict[str, Any]) -> dict[str, BaseModel]:
    """Check a whole composed configuration and return its typed sections.

    Raises:
        ConfigError: an unknown or missing section, an unknown key, a wrong type, a value out of
            range, or sections that contradict each other.
    """
    for name in config:
        if name not in SCHEMA:
            raise ConfigError(f"{name}: unknown section{nearest(name, SCHEMA)}")
    missing = [name for name in SCHEMA if name not in config]
    if missing:
        raise ConfigError(f"sections missing from the configuration: {', '.join(missing)}")
    typed = {name: build(kind, config[name], name) for name, kind in SCHEMA.items()}
    pretrained = config["evaluate"]["pretrained"]
    taken = [name for name in pretrained if name in (*config["baselines"], "candidate")]
    if taken:
        raise ConfigError(
            f"evaluate.pretrained.{taken[0]}: another model has that name; choose another"
        )
    compared = [*config["baselines"], *pretrained]
    for name in config["promote"]["must_beat"]:
        if name not in compared:
            raise ConfigError(
                f"promote.must_beat: {name!r} is no baseline{nearest(name, compared)}"
            )
    if (adaptation := config["adaptation"]["name"]) != "none":
        if config["model"]["name"] != "drugban":
            raise ConfigError(
                f"adaptation.name: {adaptation} adapts model drugban alone, and the model is "
                f"{config['model']['name']}"
            )
        if not config["split"]["adapt_fraction"]:
            raise ConfigError(
                f"adaptation.name: {adaptation} needs unlabelled pairs of the test domain; give "
                "it a share of them with split.adapt_fraction, in split=cluster or a cold split"
            )
    _check_embeddings(typed["features"], typed["model"])
    return typed


def _check_embeddings(features: BaseModel, model: BaseModel) -> None:
    """Refuse a model that reads embeddings where none are computed."""
    assert isinstance(features, FeaturesConfig)
    assert isinstance(model, ModelConfig)
    config = model.root
    members = config.members.values() if isinstance(config, EnsembleConfig) else []
    for single in (config, *(member.config for member in members)):
        if not isinstance(single, DrugBANConfig) or single.target.name != "embedding":
            continue
        if features.embedding is None:
            raise ConfigError(
                "model.target.name: embedding, but features.embedding is null; choose a language "
                "model, features=esm2 or features=protbert, or another model/target"
            )
