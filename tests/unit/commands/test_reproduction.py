"""The line at the end of ``make repro``: which committed figures came out again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stages.dti.errors import ConfigError
from stages.dti.reporting.reproduction import compare, reproduction, summary

METRICS = {
    "candidate": {"auroc": {"value": 0.83, "n": 500}, "model": "drugban", "passed": True},
    "curve": [0.1, 0.2],
}


def changed(**values: Any) -> dict[str, Any]:
    return {"metrics.json": METRICS | values}


def test_numbers_alone_are_compared() -> None:
    other = changed(candidate={"auroc": {"value": 0.84, "n": 500}, "model": "x", "passed": False})
    count, differences = compare(changed(), other)
    assert count == 4
    assert [difference.name for difference in differences] == ["metrics.json candidate.auroc.value"]
    assert differences[0].size == pytest.approx(0.01)


def test_all_are_reproduced() -> None:
    assert summary(changed(), changed()) == "All 4 committed figures were reproduced exactly."


def test_the_largest_difference_comes_first_and_is_named() -> None:
    line = summary(changed(), changed(curve=[0.1001, 0.2002]))
    assert line.startswith("2 of 4 committed figures were reproduced exactly")
    assert "of the other 2 is 0.0002 (metrics.json curve[1]: 0.2 → 0.2002)" in line
    assert "another processor rounds otherwise" in line
    assert "\n" not in line


def test_a_large_difference_is_no_rounding() -> None:
    assert "more than rounding" in summary(changed(), changed(curve=[0.1, 0.3]))


def test_figures_that_are_missing_or_new_are_said() -> None:
    line = summary(changed(), changed(curve=[0.1], more=1))
    assert "3 of 4 committed figures" in line
    assert "1 are missing and 1 are new" in line


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "reports").mkdir()
    (tmp_path / "params.yaml").write_text("reproducibility: {seed: 0}\n")
    (tmp_path / "reports/metrics.json").write_text(json.dumps(METRICS))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    return tmp_path


def test_the_working_tree_is_compared_with_the_last_commit(repository: Path) -> None:
    git(repository, "commit", "--quiet", "-m", "figures")
    assert reproduction(repository) == "All 4 committed figures were reproduced exactly."
    (repository / "reports/metrics.json").write_text(json.dumps(METRICS | {"curve": [0.1, 0.21]}))
    assert reproduction(repository).startswith("3 of 4 committed figures")
    (repository / "reports/metrics.json").write_text("{")
    with pytest.raises(ConfigError, match=r"metrics\.json is no JSON"):
        reproduction(repository)
    (repository / "reports/metrics.json").unlink()
    assert "4 are missing" in reproduction(repository)
    (repository / "params.yaml").write_text("reproducibility: {seed: 1}\n")
    assert "another configuration" in reproduction(repository)


def test_without_a_commit_it_is_said(repository: Path, tmp_path: Path) -> None:
    assert "no commit" in reproduction(repository)
    git(repository, "rm", "--cached", "-r", "reports")
    git(repository, "commit", "--quiet", "-m", "no figures")
    assert "no reports/*.json" in reproduction(repository)


def test_without_git_it_is_said(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(repository, "commit", "--quiet", "-m", "figures")
    monkeypatch.setenv("PATH", "")
    assert "no commit" in reproduction(repository)
