"""What a ``Predictor`` is asked, what it answers, and the facts that it tells of its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stages.dti.uncertainty.conformal import PredictionSet


@dataclass(frozen=True)
class Pair:
    """A drug and a target; the target by its sequence, or by an id or name that the model knows."""

    smiles: str
    sequence: str | None = None
    target_id: str | None = None


@dataclass(frozen=True)
class Target:
    """A target by its sequence, or by an id that the model knows; a name or gene symbol serves
    as well, if it stands for one target alone.
    """

    sequence: str | None = None
    target_id: str | None = None


class Prediction(BaseModel):
    """The answer to one pair, and the one list of what a prediction says.

    The columns of ``ranking.parquet`` and of the MLflow model, and the fields of an HTTP answer are
    these, by name; a field that is added here is added there.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )

    status: Literal["ok", "invalid"] = Field(
        description="An `invalid` pair has a `reason` and no numbers."
    )
    reason: str | None = Field(default=None, description="Why the pair cannot be scored.")
    smiles: str | None = Field(
        default=None, description="The canonical, standardised SMILES that was scored."
    )
    drug_name: str | None = Field(
        default=None,
        description="As it was given, else the one by which the model knows exactly this drug.",
    )
    known_target_id: str | None = Field(
        default=None,
        description="The id by which the model knows exactly this sequence, if it does.",
    )
    target_name: str | None = Field(
        default=None,
        description="As it was given, else the one by which the model knows exactly this sequence.",
    )
    score: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Raw output of the model; higher means more likely to interact.",
    )
    probability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Of an interaction; the score, calibrated on validation data.",
    )
    threshold: float | None = Field(
        default=None, description="On `probability`; chosen on validation data."
    )
    interacts: bool | None = Field(
        default=None, description="`probability` is at least `threshold`."
    )
    drug_similarity: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest Tanimoto similarity to a drug of the training data.",
    )
    target_similarity: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Largest sequence similarity to a target of the training data.",
    )
    drug_seen: bool | None = Field(
        default=None, description="Whether exactly this drug was trained on."
    )
    target_seen: bool | None = Field(
        default=None, description="Whether exactly this sequence was trained on."
    )
    pair_seen: bool | None = Field(
        default=None, description="Whether exactly this pair was trained on."
    )
    prediction_set: PredictionSet | None = Field(
        default=None,
        description="The answers that cannot be ruled out, so that for at least the share "
        "`conformal_coverage` of pairs like those of the validation data the truth is among them: "
        "`either` where both stay open, `neither` where the pair fits no answer.",
    )
    domain_distance: float | None = Field(
        default=None,
        ge=0,
        description="From the nearest training drug and target, the farther of the two, in units "
        "of the limit of the applicability domain.",
    )
    in_domain: bool | None = Field(
        default=None,
        description="`domain_distance` is at most 1: the pair lies no farther from the training "
        "data than nearly all of these lie from each other.",
    )
    spread: float | None = Field(
        default=None,
        ge=0,
        description="Standard deviation of the probabilities that the members of an ensemble give; "
        "null for a single model.",
    )


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a loaded model; ``sha256`` is that of its folder's content."""

    name: str
    config: dict[str, Any]
    feature_version: int
    threshold: float
    threshold_metric: str
    calibration: str
    conformal_coverage: float
    train_pairs: int
    train_drugs: int
    train_targets: int
    known_targets: int
    dataset: str
    data_sha256: dict[str, str]
    sha256: str


@dataclass(frozen=True)
class Ranked:
    """One drug of a ranked library.

    Attributes:
        rank: from 1.
        position: of the drug in the library; the first, if it stands there more than once.
        prediction: as ``Predictor.predict`` gives it for the pair.
    """

    rank: int
    position: int
    prediction: Prediction
