"""Hashes of artefacts and of the code, and the commit: what they depend on, and what not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stages.dti.config.split import SplitConfig
from stages.dti.errors import DataError
from stages.dti.hashing import artefact_hashes, code_sha256, file_sha256, folder_sha256
from stages.dti.paths import Paths
from stages.dti.runtime.git import git_commit, uncommitted
from stages.dti.training.checkpoint import checkpoint_folder
from tests.support.prepared_tables import section

SPLIT = section(SplitConfig, "split")


def test_hash_of_a_folder_is_that_of_names_and_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, names in ((one, "ab"), (two, "ba")):
        (folder / "deep").mkdir(parents=True)
        for name in names:
            (folder / "deep" / name).write_text(name)
    assert folder_sha256(one) == folder_sha256(two)
    assert artefact_hashes({"x": one, "f": one / "deep/a"}) == {
        "f": file_sha256(one / "deep/a"),
        "x": folder_sha256(one),
    }
    (two / "deep/a").rename(two / "deep/c")
    assert folder_sha256(one) != folder_sha256(two)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files"):
        folder_sha256(tmp_path / "empty")


def test_hash_of_the_code_is_that_of_the_names_and_bytes_of_its_python_files(
    tmp_path: Path,
) -> None:
    (tmp_path / "stages/dti").mkdir(parents=True)
    module = tmp_path / "stages/dti/module.py"
    module.write_text("x = 1\n")
    (tmp_path / "stages/stage.py").write_text("")
    first = code_sha256(tmp_path)
    for ignored in ("stages/dti/page.html", "other.py"):
        (tmp_path / ignored).write_text("y = 1\n")
    assert code_sha256(tmp_path) == first
    module.write_text("x = 2\n")
    changed = code_sha256(tmp_path)
    module.rename(module.with_name("renamed.py"))
    assert len({first, changed, code_sha256(tmp_path)}) == 3


def test_a_state_is_kept_apart_by_data_section_and_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, other = Paths(outputs=tmp_path), SPLIT.model_copy(update={"seed": 4})
    folder = checkpoint_folder(paths, {"data": "a"}, {"split": SPLIT})
    assert checkpoint_folder(paths, {"data": "a"}, {"split": SPLIT}) == folder
    found = {
        folder,
        checkpoint_folder(paths, {"data": "b"}, {"split": SPLIT}),
        checkpoint_folder(paths, {"data": "a"}, {"split": other}),
    }
    monkeypatch.setattr("stages.dti.training.checkpoint.code_sha256", lambda: "another")
    assert len(found | {checkpoint_folder(paths, {"data": "a"}, {"split": SPLIT})}) == 4


def test_commit_and_whether_the_code_differs_from_it(tmp_path: Path) -> None:
    assert git_commit(tmp_path).commit is None

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/code.py").write_text("x = 1\n")
    git("add", ".")
    git("commit", "-qm", "first")
    state = git_commit(tmp_path)
    assert state.commit == git("rev-parse", "HEAD")
    assert not state.dirty
    (tmp_path / "dvc.lock").write_text("written while the stages run")
    assert not git_commit(tmp_path).dirty
    assert uncommitted(tmp_path, ["stages", "dvc.lock"]) == ["dvc.lock"]
    (tmp_path / "stages/code.py").write_text("x = 2\n")
    assert git_commit(tmp_path).dirty
    (tmp_path / "stages/new name.py").write_text("")
    git("add", "dvc.lock")
    assert uncommitted(tmp_path, ["stages", "dvc.lock"]) == [
        "dvc.lock",
        "stages/code.py",
        "stages/new name.py",
    ]
    assert uncommitted(tmp_path, ["conf"]) == []
