"""Every command of the README runs, in a tiny repository, in the order of the page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from serve.http.schemas import PredictionRow
from stages.dti.paths import ROOT, SAMPLE
from tests.support.screened_model import write_promoted
from tests.support.tiny_repository import TinyRepository

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
BLOCK = re.compile(r"(?:<!-- (?P<note>.*?) -->\n)?```bash\n(?P<commands>.*?)```", re.DOTALL)


def commands() -> list[str]:
    """The commands of the blocks that are not excepted; set-up is what the tests run in already."""
    lines = []
    for block in BLOCK.finditer(README):
        note = block["note"] or ""
        if note.startswith("not run") or note == "server":
            continue
        lines += block["commands"].replace("\\\n", " ").strip().splitlines()
    return lines


def test_the_front_door_is_two_commands() -> None:
    assert commands()[:2] == ["make repro", "make test"]


def test_the_page_names_only_options_that_exist() -> None:
    root = Path(__file__).resolve().parents[2]
    options = re.findall(r"\b(dataset|split|model|environment)=(\w+)", README)
    assert options
    for group, option in options:
        assert (root / "conf" / group / f"{option}.yaml").exists(), f"{group}={option}"


def test_the_page_names_only_files_that_exist() -> None:
    root = Path(__file__).resolve().parents[2]
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (root / link).exists(), link
    for file in re.findall(r"@(serve/examples/\w+\.json)", README):
        assert (root / file).exists(), file


def test_the_answer_on_the_page_has_the_fields_of_the_service() -> None:
    shown = re.search(r"```json\n(.*?), …}\n```", README, re.DOTALL)
    assert shown
    assert set(json.loads(shown[1] + "}")) < set(PredictionRow.model_fields)


def test_the_page_names_only_make_targets_that_exist() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z]+(?:-[a-z]+)?)", "\n".join(commands())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_python_runs_as_it_stands(tmp_path: Path) -> None:
    """Each block by itself, beside a small promoted model."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    write_promoted(tmp_path)
    (tmp_path / "data/sample").symlink_to(ROOT / SAMPLE)
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 20


@pytest.mark.slow
def test_every_command_runs(built: TinyRepository, tmp_path: Path) -> None:
    built.run("git", "clone", "-q", str(built.root), str(tmp_path / "clone"))
    clone = TinyRepository(tmp_path / "clone")
    for command in commands()[2:]:
        clone.run("bash", "-c", f"set -o pipefail; {command}")
        if command.startswith("dvc exp run"):
            assert "gradient_boosting" in (clone.root / "reports/metrics.json").read_text()
