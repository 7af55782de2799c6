"""Every command of the README runs, in a tiny repository, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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


def test_the_page_names_only_make_targets_that_exist() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text()
    for target in re.findall(r"\bmake ([a-z]+(?:-[a-z]+)?)", "\n".join(commands())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.slow
def test_every_command_runs(built: TinyRepository, tmp_path: Path) -> None:
    built.run("git", "clone", "-q", str(built.root), str(tmp_path / "clone"))
    clone = TinyRepository(tmp_path / "clone")
    for command in commands()[2:]:
        clone.run("bash", "-c", f"set -o pipefail; {command}")
        if command.startswith("dvc exp run"):
            assert "gradient_boosting" in (clone.root / "reports/metrics.json").read_text()
