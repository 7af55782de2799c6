"""How far a run came to the committed figures: ``python -m stages.dti reproduction``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from stages.dti.errors import DtiError
from stages.dti.reporting.reproduction import reproduction


def main(arguments: Sequence[str]) -> int:
    """Print the line; a difference is no failure."""
    argparse.ArgumentParser(
        prog="python -m stages.dti reproduction",
        description="Say in one line how far reports/ came to the figures of the last commit.",
    ).parse_args(arguments)
    try:
        print(reproduction())
    except DtiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
