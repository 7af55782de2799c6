"""A missing artefact: what the message advises."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.dti.errors import DataError
from stages.dti.paths import PROMOTED, Paths


@pytest.mark.parametrize(
    ("name", "text", "advised"),
    [
        ("config", None, False),
        ("config", "[core]\n    analytics = false\n", False),
        ("config", "[core]\n    remote = store\n['remote \"store\"']\n    url = /mnt/dvc\n", True),
        ("config.local", "['remote \"own\"']\n    url = s3://bucket/%2F\n", True),
    ],
)
def test_pull_is_advised_only_with_a_remote(
    name: str, text: str | None, advised: bool, tmp_path: Path
) -> None:
    (tmp_path / ".dvc").mkdir()
    if text is not None:
        (tmp_path / ".dvc" / name).write_text(text)
    with pytest.raises(DataError, match=r"models/promoted does not exist.*dvc repro") as caught:
        Paths(tmp_path, tmp_path).read(PROMOTED)
    assert ("dvc pull" in str(caught.value)) is advised
