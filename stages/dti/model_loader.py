"""Loading a model folder: apart from its description, since only this needs every model's code."""

from __future__ import annotations

from pathlib import Path

from stages.dti.errors import ModelError
from stages.dti.evaluation.calibration import Calibration
from stages.dti.evaluation.conformal import ConformalSets
from stages.dti.evaluation.domain import ApplicabilityDomain
from stages.dti.features.store import Scalers
from stages.dti.model_description import read_description, read_json
from stages.dti.model_folder import ModelFolder, Reference
from stages.dti.models.registry import load_model


def load_model_folder(folder: Path) -> ModelFolder:
    """Read what ``ModelFolder.save`` wrote.

    Raises:
        ModelError: a file is missing, or as ``read_description`` says.
    """
    description = read_description(folder)
    decision = read_json(folder, "calibration.json")
    facts = description.facts
    try:
        return ModelFolder(
            config=description.config,
            model=load_model(description.config, folder),
            scalers=Scalers.load(folder / "scalers.safetensors"),
            features=description.features,
            standardise=description.standardise,
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
