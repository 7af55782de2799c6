"""The commit of the code, and what differs from it."""

from __future__ import annotations

import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from stages.dti.paths import ROOT

SOURCES = ("stages", "conf", "data/sample", "params.yaml", "dvc.yaml", "pyproject.toml")
"""What decides a result. While DVC runs a stage, reports and dvc.lock differ from the commit."""


@dataclass(frozen=True)
class GitState:
    """The commit of the code.

    Attributes:
        commit: ``git rev-parse HEAD``; ``None`` without git or outside a repository.
        dirty: code, configuration or the embedded sample differ from the commit.
    """

    commit: str | None
    dirty: bool


def git_commit(root: Path = ROOT) -> GitState:
    """Return the commit of the repository at ``root``; ``None`` where there is none."""
    commit = git_output(root, "rev-parse", "HEAD")
    if commit is None:
        return GitState(None, dirty=False)
    return GitState(
        commit.strip(), dirty=bool(git_output(root, "status", "--porcelain", "--", *SOURCES))
    )


def uncommitted(root: Path, paths: Collection[str]) -> list[str]:
    """Return the files at or below ``paths`` that differ from the commit, or are not in it."""
    # Each entry is a status of one or two letters, and a path.
    listed = git_output(root, "status", "--porcelain", "--no-renames", "-z", "--", *paths) or ""
    return sorted(entry.strip().partition(" ")[2].strip() for entry in listed.split("\0") if entry)


def git_output(root: Path, *arguments: str) -> str | None:
    """Return what git prints in ``root``; ``None`` without git, or where it fails."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=root,
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
