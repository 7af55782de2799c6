"""Data and models through a DVC remote: pushed from one clone, pulled into another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.object_store import BUCKET, object_store
from tests.support.tiny_repository import TinyRepository

pytestmark = pytest.mark.slow

UP_TO_DATE = "Data and pipelines are up to date."


@pytest.fixture(params=["folder", "S3"])
def remote(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[list[list[str]], dict[str, str]]]:
    """The commands that name a remote, and the environment with its credentials."""
    if request.param == "folder":
        yield [["add", "-d", "storage", str(tmp_path / "shared")]], {}
        return
    with object_store() as store:
        yield (
            [
                ["add", "-d", "storage", f"s3://{BUCKET}/pipeline"],
                ["modify", "storage", "endpointurl", store.endpoint],
            ],
            store.environment,
        )


def test_what_one_clone_pushes_another_pulls(
    tiny: TinyRepository, tmp_path: Path, remote: tuple[list[list[str]], dict[str, str]]
) -> None:
    commands, credentials = remote
    tiny.run("git", "clone", "-q", str(tiny.root), str(tmp_path / "clone"))
    clone = TinyRepository(tmp_path / "clone")
    origin = TinyRepository(tiny.root)
    for repository in (origin, clone):
        repository.environment |= credentials
        for command in commands:
            repository.run("dvc", "remote", *command)
    assert "deleted" in clone.run("dvc", "status").stdout

    if credentials:
        wrong = {"AWS_SECRET_ACCESS_KEY": "another"}
        assert "Forbidden" in origin.run("dvc", "push", check=False, **wrong).stderr
    print(origin.run("dvc", "push").stdout)
    print(clone.run("dvc", "pull").stdout)

    assert UP_TO_DATE in clone.run("dvc", "status").stdout
    assert clone.repro() == []
    assert "in sync" in clone.run("dvc", "status", "--cloud").stdout
    assert clone.run("git", "status", "--porcelain", "dvc.lock", "reports").stdout == ""


def make_repro(repository: TinyRepository) -> tuple[int, str]:
    """Run the recipe of ``make repro`` alone, without its set-up, in this environment."""
    environment = Path(sys.executable).parents[1]
    result = repository.run(
        "make", "repro", f"VENV={environment}", "-o", "params", check=False
    )  # fmt: skip
    return result.returncode, result.stdout + result.stderr


def test_make_repro_without_a_remote_advises_none(tiny: TinyRepository) -> None:
    tiny.edit("conf/report/default.yaml", {"title": "Another"})
    tiny.run("python", "-m", "stages.dti", "compose")
    code, output = make_repro(tiny)
    assert code == 0, output
    assert "Running stage 'report'" in output
    assert "dvc push" not in output
    assert "dvc pull" not in output


def test_make_repro_fails_with_its_stage(tiny: TinyRepository) -> None:
    pipeline = tiny.root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("python -m stages.report", "false"))
    code, output = make_repro(tiny)
    assert code != 0
    assert "failed to run: false" in output
