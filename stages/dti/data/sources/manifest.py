"""The list of what ``acquire`` fetched, in ``data/raw/manifest.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from stages.dti.errors import DataError

MANIFEST = "manifest.json"


class ManifestEntry(TypedDict):
    """One fetched file; ``file`` is its path below ``data/raw``, ``url`` as configured."""

    file: str
    url: str
    sha256: str
    bytes: int


Manifest = dict[str, dict[str, ManifestEntry]]
"""Source → role → file."""


def read_manifest(raw: Path) -> Manifest:
    """Read the manifest of a ``data/raw`` folder.

    Raises:
        DataError: there is none.
    """
    path = raw / MANIFEST
    if not path.exists():
        raise DataError(f"data/raw has no {MANIFEST}; run `dvc repro acquire`")
    manifest: Manifest = json.loads(path.read_text(encoding="utf-8"))
    return manifest
