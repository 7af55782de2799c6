"""Fixtures that several test folders share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stages.dti.runtime.process import prepare_process

prepare_process()

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def mirror() -> Path:
    """A folder of published data files under the paths of their public URLs (DTI_MIRROR)."""
    folder = Path(os.environ.get("DTI_MIRROR", REPOSITORY.parent / "shared" / "mirror"))
    if not folder.is_dir():
        pytest.skip(f"no mirror of the published data at {folder}; set DTI_MIRROR to a folder")
    return folder.resolve()
