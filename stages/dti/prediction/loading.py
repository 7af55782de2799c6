"""Loading a model folder: apart from its description, since only this needs every model's code."""

from __future__ import annotations

from pathlib import Path

from stages.dti.artifacts.model import ModelCalibration
from stages.dti.artifacts.model_files import FILES, reading, verify_folder
from stages.dti.features.store import Scalers
from stages.dti.models.registry import load_model
from stages.dti.prediction.description import model_json, read_description
from stages.dti.prediction.folder import ModelFolder, Reference
from stages.dti.uncertainty.applicability_domain import ApplicabilityDomain
from stages.dti.uncertainty.calibration import Calibration
from stages.dti.uncertainty.conformal import ConformalSets


def load_model_folder(folder: str | Path) -> tuple[ModelFolder, str]:
    """Return what ``ModelFolder.save`` wrote and the model's identity.

    Raises:
        ModelError: as ``read_description`` and ``verify_folder`` say.
    """
    folder = Path(folder)
    if not (folder / FILES).exists():
        read_description(folder)  # which knows whether it is of an earlier format, or no model
    sha256 = verify_folder(folder)
    description = read_description(folder)
    # What follows reads files that are as they were written; yet another version of a library may
    # not understand them.
    with reading(folder / "scalers.safetensors"):
        scalers = Scalers.load(folder / "scalers.safetensors")
    with reading(folder / "reference"):
        reference = Reference.load(folder / "reference")
    with reading(folder):
        model = load_model(description.config, folder)
    path = folder / "calibration.json"
    decided = ModelCalibration.parse(model_json(folder, path.name), path)
    facts = description.facts
    content = ModelFolder(
        config=description.config,
        model=model,
        scalers=scalers,
        features=description.features,
        standardise=description.standardise,
        calibration=Calibration.from_dict(decided.calibration.plain()),
        member_calibrations=tuple(
            Calibration.from_dict(made.plain()) for made in decided.member_calibrations
        ),
        threshold=decided.threshold,
        threshold_metric=decided.threshold_metric,
        conformal=ConformalSets(**decided.conformal.given()),
        domain=ApplicabilityDomain(**decided.domain.given()),
        reference=reference,
        seed=facts.seed,
        dataset=facts.dataset,
        data_sha256=facts.data_sha256,
        validation_metrics=decided.validation_metrics,
    )
    return content, sha256
