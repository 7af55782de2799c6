"""Every section of params.yaml with its class; a stage imports only the ones that it reads."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.base import build
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.execution import ExecutionConfig
from stages.dti.config.features import FeaturesConfig, FeaturizeConfig
from stages.dti.config.model import BaselinesConfig, ModelConfig
from stages.dti.config.prepare import PrepareConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.config.report import ReportConfig
from stages.dti.config.serve import ServeConfig
from stages.dti.config.split import SplitConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.config.trainer import TrainConfig, TrainerConfig
from stages.dti.config.validate import ValidateConfig
from stages.dti.errors import ConfigError, nearest

SCHEMA: dict[str, type[BaseModel]] = {
    "acquire": AcquireConfig,
    "baselines": BaselinesConfig,
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
    for name in config["promote"]["must_beat"]:
        if name not in config["baselines"]:
            raise ConfigError(
                f"promote.must_beat: {name!r} is no baseline{nearest(name, config['baselines'])}"
            )
    return typed
