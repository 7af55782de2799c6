"""``python -m stages.dti COMMAND …``: what people run beside the stages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from stages.dti.errors import nearest

COMMANDS = {
    "compose": "compose conf/ into params.yaml, which `dvc repro` reads",
    "promote": "let the registry's alias name the model of the committed state",
    "pull-request": "compare this checkout's committed results with those of another commit",
    "reproduction": "say how far reports/ came to the figures of the last commit",
}
"""Name → what it does; its module stands in ``commands/`` and is imported when it is called."""


def main(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code, 2 where there is no such command."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        print("usage: python -m stages.dti COMMAND [--help] …\n")
        print("\n".join(f"  {command:14}{does}" for command, does in COMMANDS.items()))
        return 0 if arguments else 2
    if name not in COMMANDS:
        print(f"error: no command {name!r}{nearest(name, COMMANDS)}", file=sys.stderr)
        return 2
    module = import_module(f"stages.dti.commands.{name.replace('-', '_')}")
    return int(module.main(rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
