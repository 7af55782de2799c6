"""Where the service's settings come from, and what is said of a wrong one."""

from __future__ import annotations

import pytest

from serve.settings import load_settings
from stages.dti.errors import ConfigError


def test_defaults_come_from_conf() -> None:
    settings = load_settings([], {})
    assert settings.serve.model_path == "models/promoted"
    assert settings.serve.host == "127.0.0.1"
    assert settings.tracking.registered_model == "drug_target_interaction"


def test_override_then_environment() -> None:
    environment = {"PORT": "9001", "LOG_LEVEL": "debug", "HOST": "", "MODEL_PATH": "models/other"}
    settings = load_settings(["serve.port=9000", "serve.workers=2"], environment)
    assert settings.serve.port == 9001
    assert settings.serve.workers == 2
    assert settings.serve.log_level == "DEBUG"
    assert settings.serve.host == "127.0.0.1"  # an empty variable is not set
    assert settings.serve.model_path == "models/other"


def test_environment_group() -> None:
    assert load_settings(["environment=staging"], {}).tracking.uri.endswith("mlflow_staging.db")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PORT", "eighty", r"PORT='eighty': serve\.port: .*whole number"),
        ("PORT", "80", r"PORT='80': serve\.port: must be at least 1024 and at most 65535"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL='LOUD'.*one of DEBUG, INFO, WARNING, ERROR"),
        ("HOST", "example.org", r"HOST='example.org'.*one of 127\.0\.0\.1"),
    ],
)
def test_wrong_variable_is_named(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings([], {variable: value})


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("serve.prot=1", "did you mean 'port'"),
        ("serve.batch_timeout_s=60", "batch_timeout_s must be below request_timeout_s"),
        ("serve.batch_timeout_s=0", "must be at least 0.001"),
    ],
)
def test_wrong_override(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings([override], {})
