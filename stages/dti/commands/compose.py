"""Compose conf/ into params.yaml: ``python -m stages.dti compose [--cfg] [OVERRIDE …]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from omegaconf import OmegaConf

from stages.dti.config.schema import check
from stages.dti.errors import DtiError
from stages.dti.files import write_text
from stages.dti.paths import ROOT
from stages.dti.runtime.compose import PARAMS, compose


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
        prog="python -m stages.dti compose",
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
