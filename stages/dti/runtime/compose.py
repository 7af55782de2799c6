"""Compose conf/ into params.yaml: ``python -m stages.dti.runtime.compose [--cfg] [OVERRIDE …]``.

``dvc repro`` reads params.yaml and never composes it; ``dvc exp run`` composes it by itself. The
text written here is the same to the byte as the one that ``dvc exp run`` writes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from stages.dti.config.schema import check
from stages.dti.errors import ConfigError, DtiError, nearest
from stages.dti.files import write_text
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


def _groups() -> str:
    """List conf/: every group with its options."""
    root = ROOT / "conf"
    options: dict[str, list[str]] = {}
    for file in sorted(root.rglob("[!_]*.yaml")):
        if file.parent != root:
            group = file.parent.relative_to(root).as_posix()
            options.setdefault(group, []).append(file.stem)
    return "\n".join(f"  {group}: {', '.join(names)}" for group, names in sorted(options.items()))


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stages.dti.runtime.compose",
        description=f"Compose conf/ into {PARAMS}, which `dvc repro` then reads.",
        epilog=f"groups and their options:\n{_groups()}\n\n"
        "Everything that --cfg prints can be overridden by its dotted name.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--cfg",
        nargs="?",
        const="job",
        choices=["job"],
        help=f"print the composed configuration and leave {PARAMS} as it is; overrides first",
    )
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="OVERRIDE",
        help="group=option, such as split=cold_drug, or key=value, such as trainer.max_epochs=5",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Check the composed configuration, then write params.yaml, or print it."""
    given = _parsed(arguments)
    try:
        config = compose(given.overrides)
        plain = OmegaConf.to_container(config)
        assert isinstance(plain, dict)
        check({str(name): section for name, section in plain.items()})
    except DtiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = OmegaConf.to_yaml(config)
    if given.cfg:
        print(text, end="")
    else:
        write_text(ROOT / PARAMS, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
