"""The comment on a pull request: ``python -m stages.dti pull-request BASE FOLDER``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stages.dti.errors import DtiError
from stages.dti.files import write_text
from stages.dti.reporting.changes import committed_results, present_results
from stages.dti.reporting.pull_request import comment


def main(arguments: Sequence[str]) -> int:
    """Write both files; 1 where the base or a result cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.dti pull-request",
        description="Compare this checkout's committed results with those of another commit.",
    )
    parser.add_argument("base", help="commit to compare with")
    parser.add_argument("folder", type=Path, help="where comment.md and full.md are written")
    given = parser.parse_args(arguments)
    try:
        root = Path.cwd()
        old, new = committed_results(root, given.base), present_results(root)
    except DtiError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    write_text(given.folder / "comment.md", comment(old, new, given.base))
    write_text(given.folder / "full.md", comment(old, new, given.base, limit=None))
    print(f"open {given.folder / 'comment.md'}")
    return 0
