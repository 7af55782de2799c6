"""What a model folder says about its model: read without the model's code or weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.dti.artifacts.model import ModelFacts
from stages.dti.artifacts.model_files import reading
from stages.dti.config.base import build
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.model import AnyModel
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import ModelError
from stages.dti.features.store import FEATURE_VERSION
from stages.dti.files import json_object
from stages.dti.models.registry import model_config
from stages.dti.prediction.folder import FORMAT_VERSION


@dataclass(frozen=True)
class ModelDescription:
    """What model.json says: enough to make drugs ready for the model.

    Attributes:
        facts: the whole file.
    """

    config: AnyModel
    features: FeaturesConfig
    standardise: StandardiseConfig
    facts: ModelFacts


def read_description(folder: str | Path) -> ModelDescription:
    """Read the description of a model.

    Raises:
        ModelError: it is missing, or the folder was written in another format or for other
            features.
        DamagedModelError: it cannot be read.
    """
    folder = Path(folder)
    content = model_json(folder, "model.json")
    version = content.get("format_version", 1)
    if version != FORMAT_VERSION:
        raise ModelError(
            f"the model in {folder} was written in format {version}, this code reads format "
            f"{FORMAT_VERSION}; train it again with `dvc repro`"
        )
    facts = ModelFacts.parse(content, folder / "model.json")
    if facts.feature_version != FEATURE_VERSION:
        raise ModelError(
            f"the model in {folder} was trained on feature version {facts.feature_version}, this "
            f"code computes {FEATURE_VERSION}; train it again with `dvc repro`"
        )
    return ModelDescription(
        config=model_config(facts.config),
        features=build(FeaturesConfig, facts.features, "features"),
        standardise=build(StandardiseConfig, facts.standardise, "standardise"),
        facts=facts,
    )


def model_json(folder: Path, name: str) -> dict[str, Any]:
    """Return what a JSON file of a model folder holds.

    Raises:
        ModelError: there is no such file.
        DamagedModelError: it cannot be read, or holds no JSON object.
    """
    path = folder / name
    if not path.exists():
        raise ModelError(
            f"{folder} holds no model ({name} is missing); run `dvc repro`, which exports one, "
            "or name another folder"
        )
    with reading(path):
        return json_object(path.read_text(encoding="utf-8"))
