"""Every section of the configuration, and its class."""

from __future__ import annotations

from pydantic import Field

from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.adaptation import AdaptationConfig
from stages.dti.config.base import Section
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.execution import ExecutionConfig
from stages.dti.config.features import FeaturesConfig, FeaturizeConfig
from stages.dti.config.model import BaselinesConfig, ModelConfig
from stages.dti.config.prepare import PrepareConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.config.report import ReportConfig
from stages.dti.config.reproducibility import ReproducibilityConfig
from stages.dti.config.screen import ScreenConfig
from stages.dti.config.serve import ServeConfig
from stages.dti.config.split import SplitConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.config.validate import ValidateConfig


class Configuration(Section):
    """Every section of params.yaml."""

    acquire: AcquireConfig
    adaptation: AdaptationConfig
    baselines: BaselinesConfig
    calibration: CalibrationConfig
    dataset: DatasetConfig
    environment: EnvironmentConfig
    evaluate: EvaluateConfig
    execution: ExecutionConfig
    features: FeaturesConfig
    featurize: FeaturizeConfig
    model: ModelConfig
    prepare: PrepareConfig
    promote: PromoteConfig
    report: ReportConfig
    reproducibility: ReproducibilityConfig
    screen: ScreenConfig
    serve: ServeConfig
    split: SplitConfig
    standardise: StandardiseConfig
    tracking: TrackingConfig
    trainer: TrainerConfig
    validate_: ValidateConfig = Field(alias="validate")
