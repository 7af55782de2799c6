"""The check of dvc.lock in fresh clones of a small pipeline: what ran passes, each change fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure import dvc_lock

FILES = {
    "dvc.yaml": """
stages:
  first:
    cmd: mkdir -p made && cp code/first.txt made/data.txt
    deps: [code/first.txt, table.csv]
    params: [seed]
    outs: [made]
  second:
    cmd: cp made/data.txt scores.json
    deps: [made, code/second]
    params: [trainer]
    metrics:
      - scores.json:
          cache: false
""",
    "params.yaml": "seed: 1\ntrainer: {learning_rate: 0.001, layers: [16, 8]}\nunread: 1\n",
    "code/first.txt": '{"auroc": 0.8}\n',
    "code/second/a.txt": "a\n",
    "table.csv": "x\n1\n",
}


def run(folder: Path, *command: str) -> None:
    """Run a program of this environment in a folder."""
    bin_folder = Path(sys.executable).parent
    subprocess.run(
        command,
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ
        | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"},
    )


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose pipeline ran and whose results are committed."""
    root = tmp_path_factory.mktemp("pipeline")
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    run(root, "git", "init", "-q")
    run(root, "dvc", "init", "-q")
    run(root, "dvc", "repro", "-q")
    run(root, "git", "add", "-A")
    run(
        root, "git", "-c", "user.name=Test", "-c", "user.email=test@example.invalid",
        "commit", "-q", "-m", "Results",
    )  # fmt: skip
    return root


@pytest.fixture
def clone(committed: Path, tmp_path: Path) -> Path:
    """A clone that holds what git holds: no cache, no cached output."""
    run(tmp_path, "git", "clone", "-q", str(committed), "clone")
    assert not (tmp_path / "clone/made").exists()
    return tmp_path / "clone"


def test_a_fresh_clone_of_what_ran_passes(clone: Path) -> None:
    assert dvc_lock.differences(clone) == []


def test_a_parameter_that_no_stage_reads_may_change(clone: Path) -> None:
    edit(clone / "params.yaml", "unread: 1", "unread: 2")
    assert dvc_lock.differences(clone) == []


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


CHANGES = {
    "a parameter": (
        "params.yaml", "0.001", "0.002",
        "second: trainer.learning_rate is 0.002 in params.yaml, 0.001 in dvc.lock",
    ),
    "a parameter in a list": (
        "params.yaml", "16, 8", "16, 9",
        "second: trainer.layers.1 is 9 in params.yaml, 8 in dvc.lock",
    ),
    "a removed parameter": (
        "params.yaml", "learning_rate: 0.001, ", "",
        "second: trainer.learning_rate is missing in params.yaml, 0.001 in dvc.lock",
    ),
    "a command": (
        "dvc.yaml", "cp made/data.txt", "cp -p made/data.txt",
        "second: its command is another in dvc.yaml",
    ),
    "a file of code": (
        "code/first.txt", "0.8", "0.9", "first: code/first.txt is modified",
    ),
    "a file in a folder of code": (
        "code/second/a.txt", "a", "b", "second: code/second is modified",
    ),
    "a committed report": (
        "scores.json", "0.8", "0.95", "second: scores.json is modified since second wrote it",
    ),
    "a new dependency": (
        "dvc.yaml", "deps: [made,", "deps: [made, table.csv,",
        "second: table.csv is new in dvc.yaml",
    ),
    "a removed dependency": (
        "dvc.yaml", ", table.csv]", "]", "first: table.csv is no longer in dvc.yaml",
    ),
    "a new section": (
        "dvc.yaml", "[trainer]", "[trainer, unread]",
        "second: unread is 1 in params.yaml, missing in dvc.lock",
    ),
    "a removed section": (
        "dvc.yaml", "params: [seed]", "params: []", "first: section seed is no longer in dvc.yaml",
    ),
    "a new output": (
        "dvc.yaml", "outs: [made]", "outs: [made, more]", "first: more is new in dvc.yaml",
    ),
    "a renamed stage": (
        "dvc.yaml", "  second:", "  third:", "third: has never run",
    ),
    "an upstream stage rebuilt alone": (
        "dvc.lock", "outs:\n    - path: made\n      hash: md5\n      md5: ",
        "outs:\n    - path: made\n      hash: md5\n      md5: 0",
        "second: made is not the one that first made",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_not_rerun_is_named(clone: Path, change: str) -> None:
    file, old, new, message = CHANGES[change]
    edit(clone / file, old, new)
    assert message in dvc_lock.differences(clone)


def test_a_missing_report_a_missing_lock_and_a_stage_too_many_are_named(clone: Path) -> None:
    (clone / "scores.json").unlink()
    assert dvc_lock.differences(clone) == [
        "second: scores.json is deleted since second wrote it",
    ]
    edit(clone / "dvc.lock", "stages:\n", "stages:\n  old:\n    cmd: none\n")
    assert "old: is no longer in dvc.yaml" in dvc_lock.differences(clone)
    (clone / "dvc.lock").unlink()
    assert dvc_lock.differences(clone) == ["first: has never run", "second: has never run"]


def test_the_command_fails_and_says_what_mends_it(clone: Path) -> None:
    command = [sys.executable, dvc_lock.__file__]
    assert subprocess.run(command, cwd=clone, check=False).returncode == 0
    edit(clone / "params.yaml", "0.001", "0.002")
    failed = subprocess.run(command, cwd=clone, check=False, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[0].startswith("second: trainer.learning_rate is 0.002")
    assert "run `make repro`, then commit dvc.lock and reports/" in failed.stderr
