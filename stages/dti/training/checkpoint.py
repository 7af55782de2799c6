"""Where an interrupted training leaves its state: only the same training resumes from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel

from stages.dti.hashing import code_sha256
from stages.dti.paths import CACHE, Paths

_LIBRARIES = ("numpy", "pytorch-lightning", "scikit-learn", "torch")
"""Another version of these may compute other numbers."""


def checkpoint_folder(
    paths: Paths, data_sha256: Mapping[str, str], sections: Mapping[str, BaseModel]
) -> Path:
    """Return ``data/cache/train/<key>``; it need not exist.

    The key is the SHA-256 of all that decides the weights: the data, the sections, every source
    file of the stages and the library, and the versions of the libraries that compute.
    """
    facts = {
        "data": dict(data_sha256),
        "sections": {name: section.model_dump(mode="json") for name, section in sections.items()},
        "code": code_sha256(),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return paths.outputs / CACHE / "train" / key
