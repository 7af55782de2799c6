"""Composing conf/, as ``python -m stages.dti compose`` and ``dvc exp run`` do.

``dvc repro`` reads params.yaml and never composes it; ``dvc exp run`` composes it by itself. The
text written here is the same to the byte as the one that ``dvc exp run`` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from stages.dti.errors import ConfigError, nearest
from stages.dti.paths import ROOT

PARAMS = "params.yaml"


def compose(overrides: Sequence[str] = ()) -> DictConfig:
    """Return the composed, resolved configuration.

    Raises:
        ConfigError: an override names an unknown group, option or key.
    """
    try:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = hydra_compose("config", overrides=list(overrides))
        OmegaConf.resolve(config)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        hints = "".join(_hint(override) for override in overrides)
        raise ConfigError(f"the configuration does not compose: {error}{hints}") from error
    return config


def _hint(override: str) -> str:
    """Return the nearest valid key, where an override names a key that conf/ does not have."""
    name = override.partition("=")[0].lstrip("+~")
    *path, key = name.split(".")
    section: Any = compose()
    for part in path:
        if not isinstance(section, DictConfig) or part not in section:
            return ""
        section = section[part]
    if not isinstance(section, DictConfig) or key in section:
        return ""
    return f"\n  {name}: unknown key{nearest(key, [str(valid) for valid in section])}"
