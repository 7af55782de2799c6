"""Promote the committed state: ``python -m stages.dti promote``, or ``make promote``.

The registry's alias of the environment (``production``, ``staging``) then names the model in
``models/promoted``, and ``models/production.json`` says so. Nothing else moves that alias. In an
older commit, after ``git checkout COMMIT && dvc checkout``, it rolls back to the model of that
commit. The exit code is 0 if the alias names the model, else 1.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

import yaml

from stages.dti.config.base import build
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import ConfigError, DtiError
from stages.dti.lifecycle.transitions import name_first, promote_committed
from stages.dti.paths import ROOT

PARAMS = ROOT / "params.yaml"


def main(arguments: Sequence[str]) -> int:
    """Promote; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.dti promote",
        description="Let the registry's alias name the model of the committed state.",
    )
    parser.add_argument(
        "--first",
        action="store_true",
        help="only where the alias names nothing yet and models/production.json has this model; "
        "else do nothing",
    )
    first = parser.parse_args(arguments).first
    logging.basicConfig(level="WARNING", format="%(levelname)s: %(message)s")
    try:
        if not PARAMS.is_file():
            raise ConfigError(f"{PARAMS.name} does not exist; run `make repro`, which composes it")
        params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
        environment = build(EnvironmentConfig, params["environment"], "environment")
        tracking = build(TrackingConfig, params["tracking"], "tracking")
        said = (name_first if first else promote_committed)(ROOT, environment, tracking)
    except DtiError as error:
        print(f"error: not promoted: {error}", file=sys.stderr)
        return 1
    if said:
        print(said)
    return 0
