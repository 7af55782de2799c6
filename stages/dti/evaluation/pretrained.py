"""Models that the pipeline did not train, from a folder or the registry, known by their hash."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from stages.dti.artifacts.export import Export
from stages.dti.config.evaluate import PretrainedConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import ModelError
from stages.dti.prediction.predictor import Predictor
from stages.dti.tracking.registry import SCHEME, fetch
from stages.dti.tracking.store import configure


def load_pretrained(
    pretrained: Mapping[str, PretrainedConfig], root: Path, tracking: TrackingConfig
) -> dict[str, Predictor]:
    """Return name → model, sorted by name.

    Args:
        pretrained: the section ``evaluate.pretrained``.
        root: of the repository, where relative folders begin.

    Raises:
        ModelError: there is no model at a source, or another one than its hash names, or one that
            this code cannot load.
    """
    models = {}
    for name, wanted in sorted(pretrained.items()):
        with tempfile.TemporaryDirectory() as scratch:
            if wanted.source.startswith(SCHEME):
                export = fetch(configure(tracking), wanted.source, Path(scratch)).export
            else:
                found = Export.find(root / wanted.source)
                if found is None:
                    raise ModelError(
                        f"evaluate.pretrained.{name}: {wanted.source} holds no model; name a "
                        "folder with a model.json, or models:/NAME@alias"
                    )
                export = found
            if export.model_sha256 != wanted.sha256:
                raise ModelError(
                    f"evaluate.pretrained.{name}: the model in {wanted.source} has sha256 "
                    f"{export.model_sha256}, not {wanted.sha256}; if that is the one you mean, "
                    f"set evaluate.pretrained.{name}.sha256 to it"
                )
            models[name] = Predictor.load(export.folder)
    return models
