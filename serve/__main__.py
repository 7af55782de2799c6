"""Serve the promoted model: ``python -m serve [serve.port=9000 …]``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from serve.http.middleware import middleware
from serve.inference.api import PredictionAPI
from serve.inference.source import model_source
from serve.server.processes import PredictionServer
from serve.settings import load_settings
from serve.telemetry.logs import configure_logging
from stages.dti.errors import DtiError
from stages.dti.runtime.process import prepare_process

USAGE = """\
Arguments are Hydra overrides of conf/, such as serve.port=9000 or environment=staging.
The environment variables MODEL_PATH (a model folder, or models:/NAME@alias in MLflow), HOST, PORT
and LOG_LEVEL win over serve.model_path, serve.host, serve.port and serve.log_level.
"""


def main(arguments: Sequence[str]) -> int:
    """Start the service; return its exit code: 1 if it cannot start, 0 after a graceful stop."""
    parser = argparse.ArgumentParser(
        prog="python -m serve",
        description=__doc__,
        epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("override", nargs="*", help="a Hydra override")
    overrides = parser.parse_args(arguments).override
    prepare_process()  # the workers inherit it
    try:
        settings = load_settings(overrides, os.environ)
        configure_logging(settings.serve.log_level)
        with model_source(settings) as source:
            logging.getLogger(__name__).info(
                "serving %s", source.registered or settings.serve.model_path
            )
            apis = [PredictionAPI(settings.serve, source)]
            return PredictionServer(settings.serve, apis, middleware(settings.serve)).serve()
    except DtiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
