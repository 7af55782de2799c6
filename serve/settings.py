"""The service's settings: section ``serve`` of ``conf/``, then the environment, checked at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omegaconf import OmegaConf
from pydantic import ValidationError

from stages.dti.config.base import build, describe
from stages.dti.config.serve import ServeConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import ConfigError
from stages.dti.runtime.compose import compose

ENVIRONMENT = {
    "MODEL_PATH": "model_path",
    "HOST": "host",
    "PORT": "port",
    "LOG_LEVEL": "log_level",
}
"""Environment variable → key of section ``serve`` over which it wins. An empty one is not set."""


@dataclass(frozen=True)
class Settings:
    """``tracking`` says where MLflow is, should ``serve.model_path`` name a registered model."""

    serve: ServeConfig
    tracking: TrackingConfig


def load_settings(overrides: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Compose ``conf/`` with Hydra overrides such as ``serve.port=9000``; ``environment`` wins.

    Raises:
        ConfigError: an override or an environment variable is unknown or out of range.
    """
    plain = OmegaConf.to_container(compose(overrides))
    assert isinstance(plain, dict)
    serve = build(ServeConfig, plain["serve"], "serve")
    for variable, key in ENVIRONMENT.items():
        if value := environment.get(variable):
            serve = _with_variable(serve, variable, key, value)
    return Settings(serve=serve, tracking=build(TrackingConfig, plain["tracking"], "tracking"))


def _with_variable(serve: ServeConfig, variable: str, key: str, value: str) -> ServeConfig:
    if key == "log_level":
        value = value.upper()
    try:
        # An environment has texts alone, so that a number may be one here.
        return ServeConfig.model_validate(serve.model_dump() | {key: value}, strict=False)
    except ValidationError as error:
        raise ConfigError(
            f"environment variable {variable}={value!r}: "
            f"{describe(error, ServeConfig, 'serve')[0]}; change or unset it"
        ) from None
