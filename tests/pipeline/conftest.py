"""Tiny repositories in which the whole pipeline runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.tiny_repository import TinyRepository


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> TinyRepository:
    """A tiny repository after its first ``dvc repro``, committed; tests leave it as it was."""
    repository = TinyRepository.make(tmp_path_factory.mktemp("tiny"))
    repository.repro()
    repository.run("git", "add", "-A")
    repository.run("git", "commit", "-q", "-m", "First results")
    return repository


@pytest.fixture
def tiny(built: TinyRepository) -> Iterator[TinyRepository]:
    """The built repository, put back to its committed state afterwards."""
    yield built
    built.run("git", "reset", "-q", "--hard")
    built.run("dvc", "checkout", "--force", "-q")
