"""Loading a model folder: apart from its description, since only this needs every model's code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stages.dti.config.base import build
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import ModelError
from stages.dti.evaluation.calibration import Calibration
from stages.dti.evaluation.conformal import ConformalSets
from stages.dti.evaluation.domain import ApplicabilityDomain
from stages.dti.features.store import FEATURE_VERSION, Scalers
from stages.dti.model_folder import FORMAT_VERSION, ModelFolder, Reference
from stages.dti.models.registry import load_model, model_config


def load_model_folder(folder: Path) -> ModelFolder:
    """Read what ``ModelFolder.save`` wrote.

    Raises:
        ModelError: a file is missing, or the folder was written in another format or for other
            features.
    """
    facts = _read_json(folder, "model.json")
    decision = _read_json(folder, "calibration.json")
    version = facts.get("format_version", 1)
    if version != FORMAT_VERSION:
        raise ModelError(
            f"the model in {folder} was written in format {version}, this code reads format "
            f"{FORMAT_VERSION}; train it again with `dvc repro`"
        )
    if facts["feature_version"] != FEATURE_VERSION:
        raise ModelError(
            f"the model in {folder} was trained on feature version {facts['feature_version']}, "
            f"this code computes {FEATURE_VERSION}; train it again with `dvc repro`"
        )
    config = model_config(facts["config"])
    try:
        return ModelFolder(
            config=config,
            model=load_model(config, folder),
            scalers=Scalers.load(folder / "scalers.safetensors"),
            features=build(FeaturesConfig, facts["features"], "features"),
            standardise=build(StandardiseConfig, facts["standardise"], "standardise"),
            calibration=Calibration.from_dict(decision["calibration"]),
            member_calibrations=tuple(
                Calibration.from_dict(value) for value in decision["member_calibrations"]
            ),
            threshold=decision["threshold"],
            threshold_metric=decision["threshold_metric"],
            conformal=ConformalSets(**decision["conformal"]),
            domain=ApplicabilityDomain(**decision["domain"]),
            reference=Reference.load(folder / "reference"),
            seed=facts["seed"],
            dataset=facts["dataset"],
            data_sha256=facts["data_sha256"],
            validation_metrics=decision["validation_metrics"],
        )
    except FileNotFoundError as error:
        raise ModelError(
            f"the model in {folder} is incomplete: {error.filename or error} is missing; "
            "run `dvc repro`, or name another folder"
        ) from error


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} holds no model ({name} is missing); run `dvc repro`, which exports one, "
            "or name another folder"
        ) from error
    return content
