"""Section ``tracking``: where runs are logged. It never changes what is computed."""

from __future__ import annotations

from pydantic import Field

from stages.dti.config.base import Section


class TrackingConfig(Section):
    """MLflow; the environment variable MLFLOW_TRACKING_URI takes precedence over ``uri``."""

    uri: str = Field(min_length=1)
    experiment_prefix: str = Field(min_length=1)
    registered_model: str = Field(min_length=1)
    system_metrics: bool
