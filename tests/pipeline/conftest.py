"""Tiny repositories in which the whole pipeline runs."""

from __future__ import annotations

import pytest
from tiny_repository import TinyRepository


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> TinyRepository:
    """A tiny repository after its first ``dvc repro``, committed; tests leave it as it was."""
    repository = TinyRepository.make(tmp_path_factory.mktemp("tiny"))
    repository.repro()
    repository.run("git", "add", "-A")
    repository.run("git", "commit", "-q", "-m", "First results")
    return repository
