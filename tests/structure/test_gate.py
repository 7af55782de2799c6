"""What the gate leaves behind, and the set-up's choice of a Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PIP", "PYTHON", "VENV")
"""What the make that may have started the tests tells to those below it."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the gate's script, whose make targets only say their names."""
    root = tmp_path / "project"
    (root / ".ci").mkdir(parents=True)
    shutil.copy2(REPOSITORY / ".ci/run", root / ".ci/run")
    targets = re.findall(r"^([a-z-]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    rules = [f"{target}:\n\t@echo {target} of $(VENV); mkdir -p $(VENV)\n" for target in targets]
    (root / "Makefile").write_text("\n".join(rules))
    (tmp_path / "temporary").mkdir()
    return root


def run_gate(project: Path, **environment: str) -> str:
    """Run the gate and return what its targets said."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    kept["TMPDIR"] = str(project.parent / "temporary")
    result = subprocess.run(
        [".ci/run"], cwd=project, env=kept | environment, capture_output=True, text=True, check=True
    )
    return result.stdout


def test_the_gate_removes_the_environment_that_it_made(project: Path) -> None:
    said = run_gate(project)
    for target in ("setup", "lint", "hooks", "check-lock", "test", "test-slow"):
        assert f"{target} of {project.parent}/temporary/" in said
    assert list((project.parent / "temporary").iterdir()) == []


def test_the_gate_keeps_an_environment_that_it_was_given_and_what_lies_beside_it(
    project: Path,
) -> None:
    beside = project.parent / "given/beside.txt"
    beside.parent.mkdir()
    beside.write_text("kept")
    assert "setup of ../given/venv" in run_gate(project, VENV="../given/venv")
    assert beside.read_text() == "kept"
    assert (beside.parent / "venv").is_dir()


def set_up(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``make setup`` with nothing to install, in a copy of the Makefile."""
    shutil.copy2(REPOSITORY / "Makefile", root / "Makefile")
    for name in ("requirements.lock", "requirements-cuda.lock"):
        (root / name).touch()
    kept = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
    return subprocess.run(
        ["make", "setup", "PIP=true", *arguments],
        cwd=root, env=kept | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_set_up_takes_the_first_python_that_serves(tmp_path: Path) -> None:
    """Here the first is of another version, and the second serves."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").write_text("#!/bin/sh\nexit 1\n")
    (programs / "python3").chmod(0o755)
    (programs / "python3.12").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python3.12").chmod(0o755)
    result = set_up(tmp_path, "--dry-run", PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert result.returncode == 0, result.stderr
    assert "python3.12 -m venv .venv" in result.stdout


def test_set_up_says_which_python_is_wanted(tmp_path: Path) -> None:
    result = set_up(tmp_path, "PYTHON=/nowhere/python")
    assert result.returncode != 0
    assert "Python 3.11 or 3.12" in result.stderr
    assert "make PYTHON=/path/to/python3.12" in result.stderr
    assert not (tmp_path / ".venv").exists()
