"""JSON files of a model folder: ``{model,calibration}.json`` and ``{golden,version}.json``."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from stages.dti.artifacts.base import Artifact, Count, Sha256, Share
from stages.dti.artifacts.evaluation import DomainLimits
from stages.dti.artifacts.training import Validated
from stages.dti.errors import DamagedModelError, DtiError


class ModelArtifact(Artifact):
    """A JSON file of a model folder."""

    refused_as: ClassVar[type[DtiError]] = DamagedModelError
    remedy: ClassVar[str] = (
        "restore the folder with `dvc checkout --force`, make it anew with `dvc repro`, or fetch "
        "it again"
    )


class ModelFacts(ModelArtifact):
    """``model.json``: what the model is.

    Attributes:
        format_version: of the folder.
        config, features, standardise: sections of the configuration that it was made with;
            ``prediction/description.py`` builds them.
        data_sha256: artefact name → sha256 of the data that it was trained on.
    """

    format_version: Count
    name: str
    config: dict[str, Any]
    features: dict[str, Any]
    standardise: dict[str, Any]
    feature_version: Count
    seed: Count
    dataset: str
    data_sha256: dict[str, Sha256]


class CalibrationFacts(ModelArtifact):
    """From score to probability: ``method``, and that method's own fields."""

    method: Literal["none", "platt", "isotonic"]
    slope: float | None = None
    intercept: float | None = None
    knots: list[float] | None = None
    values: list[Share] | None = None
    reason: str | None = None


class ConformalLimits(ModelArtifact):
    """Which answers a calibrated probability leaves open (``uncertainty/conformal.py``)."""

    coverage: Share
    positives: Count
    negatives: Count
    active_from: float
    inactive_to: float


class ModelCalibration(ModelArtifact):
    """``calibration.json``: what was chosen on validation, and the limits of the domain."""

    calibration: CalibrationFacts
    member_calibrations: list[CalibrationFacts]
    threshold: float
    threshold_metric: str
    conformal: ConformalLimits
    domain: DomainLimits
    validation_metrics: Validated


class GoldenPair(ModelArtifact):
    """A pair as it is to be asked, with score and probability as they must come out."""

    smiles: str
    sequence: str
    score: float
    probability: Share


class Golden(ModelArtifact):
    """``golden.json``: test pairs that the model must score as it did when it was exported."""

    pairs: Annotated[list[GoldenPair], Field(min_length=1)]


class Version(ModelArtifact):
    """``version.json``: which model was exported; it is known by its content."""

    model: str
    model_sha256: Sha256
