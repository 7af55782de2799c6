"""Where the model comes from: a folder, or the MLflow registry."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serve.settings import Settings
from stages.dti.errors import ModelError
from stages.dti.paths import ROOT

REGISTRY_SCHEME = "models:/"


@dataclass(frozen=True)
class Source:
    """Where a model lies.

    Attributes:
        registered: the version that it is in the registry, as ``models:/NAME/VERSION``; ``None``
            for a folder.
    """

    folder: Path
    registered: str | None = None


@contextmanager
def model_source(settings: Settings) -> Iterator[Source]:
    """Yield the model to serve.

    A model from the registry is fetched once, at start, into a temporary folder; to serve a
    version promoted later, restart the service.

    Raises:
        ModelError: there is no model at that place.
    """
    source = settings.serve.model_path
    if not source.startswith(REGISTRY_SCHEME):
        folder = ROOT / source
        if not (folder / "model.json").is_file():
            raise ModelError(
                f"{source} holds no model; run `dvc repro`, which exports models/promoted (if its "
                "gate refused every candidate so far, NO_MODEL.md there says why), or set "
                "MODEL_PATH to an exported folder or to models:/NAME@alias"
            )
        yield Source(folder)
        return
    # MLflow takes seconds to import, and is not needed to serve a folder.
    from stages.dti.tracking.registry import fetch
    from stages.dti.tracking.store import configure

    with tempfile.TemporaryDirectory(prefix="dti-model-") as scratch:
        fetched = fetch(configure(settings.tracking), source, Path(scratch))
        yield Source(fetched.export.folder, fetched.uri)
