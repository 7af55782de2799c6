"""A git and DVC repository without stages, in which the real ``dvc`` shows results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

COLUMNS = 100
"""Of the terminal that the commands print to."""


class Repository:
    """One commit after another, and experiments beside them."""

    def __init__(self, root: Path, pipeline: dict[str, Any]) -> None:
        self.root = root
        self.run("git", "init", "-q", "-b", "main")
        self.run("dvc", "init", "-q")
        for name in ("user.name", "user.email"):
            self.run("git", "config", name, "test@example.invalid")
        (root / "dvc.yaml").write_text(yaml.safe_dump(pipeline))

    def run(self, *command: str) -> str:
        """Run a command in the repository and return what it prints."""
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": str(COLUMNS),
            "DVC_NO_ANALYTICS": "1",
        }
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=True
        ).stdout

    def commit(self) -> None:
        """Commit everything."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "Results")
