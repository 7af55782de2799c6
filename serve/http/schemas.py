"""The bodies of requests and answers. /docs is made from these classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from stages.dti.prediction.types import Prediction

EXAMPLES = Path(__file__).parents[1] / "examples"

MAX_PAIRS = 100
"""Pairs per request; a larger screening belongs into several requests."""

SCORE_DIRECTION = "higher means more likely to interact"
SCORE_MEANING = "raw output of the model, 0 to 1, without a unit; it is not an affinity"


NO_TEXT = "\N{REPLACEMENT CHARACTER}"
"""Stands for a lone surrogate, which JSON can escape but no answer could repeat."""


def _replace_surrogates(value: Any) -> Any:
    if not isinstance(value, str) or value.isascii():
        return value
    return "".join(NO_TEXT if "\ud800" <= letter <= "\udfff" else letter for letter in value)


Text = Annotated[str, BeforeValidator(_replace_surrogates)]
"""Text in which a lone surrogate makes a row invalid, and not the whole body."""


class Body(BaseModel):
    """Unknown keys are errors: a misspelt `sequence` must not become a target without one."""

    model_config = ConfigDict(extra="forbid", strict=True)


class DrugInfo(Body):
    """A drug. Only `smiles` is used to predict."""

    smiles: Text = Field(
        description="Standardised as the training data was. One that cannot be read, or that is "
        "too long, makes this row `invalid` and no other."
    )
    drug_id: Text | None = Field(default=None, description="Returned as it is given.")
    drug_name: Text | None = Field(default=None, description="Returned as it is given.")


class TargetInfo(Body):
    """A protein: by its `sequence`, or by an id or name that the model knows (/model/targets).

    If `sequence` is given, it alone decides. If not, `target_id` or `uniprot_id` must be an id, a
    gene symbol or a name of the model's training data; where neither is given, `target_name`.
    `organism` and `target_class` are not used.
    """

    sequence: Text | None = Field(default=None, description="Amino acids, one-letter code.")
    target_id: Text | None = None
    uniprot_id: Text | None = None
    target_name: Text | None = None
    organism: Text | None = None
    target_class: Text | None = None


class DrugTargetPair(Body):
    """What one row is about."""

    drug: DrugInfo
    target: TargetInfo


RETURN_CONFIDENCE = Field(default=True, description="Whether rows carry `confidence`.")


class PredictOne(DrugTargetPair):
    """One pair."""

    return_confidence: bool = RETURN_CONFIDENCE

    @property
    def pairs(self) -> list[DrugTargetPair]:
        """The one pair, so that both forms of request are read alike."""
        return [self]


class PredictSeveral(Body):
    """Several pairs. A bad one makes its own row `invalid`; the others are scored."""

    pairs: list[DrugTargetPair] = Field(min_length=1, max_length=MAX_PAIRS)
    return_confidence: bool = RETURN_CONFIDENCE


def _form(body: Any) -> str:
    several = isinstance(body, PredictSeveral) or (isinstance(body, dict) and "pairs" in body)
    return "several" if several else "one"


PredictRequest = Annotated[
    Annotated[PredictOne, Tag("one")] | Annotated[PredictSeveral, Tag("several")],
    Discriminator(_form),
]
"""Told apart by the key `pairs`, so that an error speaks of the form that was meant."""


class PredictionRow(Prediction):
    """The answer to one pair: what the library's ``Prediction`` says, and who and what was asked.

    An `invalid` row has a `reason` and no numbers.
    """

    drug_id: str | None = Field(description="As it was given.")
    target_id: str | None = Field(description="As it was given: `target_id`, else `uniprot_id`.")
    confidence: float | None = Field(
        ge=0,
        le=1,
        description="The calibrated probability that `interacts` is right: `probability` where "
        "it is true, 1 - `probability` where it is false. Null unless `return_confidence`.",
    )
    score_direction: str = SCORE_DIRECTION
    score_meaning: str = SCORE_MEANING
    model_name: str
    model_version: str = Field(description="The first digits of the model's sha256.")


class PredictionRows(BaseModel):
    """The rows of several pairs, in the order in which they were asked."""

    predictions: list[PredictionRow]


PredictAnswer = PredictionRow | PredictionRows
"""One pair is answered by its row, several by their rows."""


class ModelInfoBody(BaseModel):
    """What is served."""

    name: str
    version: str = Field(description="The first digits of `sha256`: equal models, equal versions.")
    registered: str | None = Field(
        description="The version in the MLflow registry that it was loaded from, such as "
        "`models:/drug_target_interaction/3`; null where it was loaded from a folder."
    )
    sha256: str = Field(description="Over the names and contents of the model's own files.")
    dataset: str
    data_sha256: dict[str, str] = Field(description="Of the data that it was trained on.")
    config: dict[str, Any]
    feature_version: int
    calibration: str
    conformal_coverage: float = Field(
        description="Share of pairs of either class whose `prediction_set` shall hold the truth."
    )
    threshold: float = Field(description="On the calibrated probability.")
    threshold_metric: str = Field(description="What the threshold maximises on validation data.")
    train_pairs: int
    train_drugs: int
    train_targets: int
    known_targets: int = Field(description="Targets that a request may name: /model/targets.")
    metrics: dict[str, Any] = Field(description="On the test set, with 95 % intervals.")


class KnownTarget(BaseModel):
    """A target that a request may name by `target_id` or `target_name`."""

    target_id: str
    target_name: str | None = Field(description="Gene symbol or name, as the source has it.")
    organism: str | None
    target_class: str | None
    residues: int
    in_train: bool = Field(description="Whether the model was trained on it.")


class KnownTargets(BaseModel):
    """All targets that the model knows."""

    targets: list[KnownTarget]


class HealthBody(BaseModel):
    """Whether the service can vouch for its predictions."""

    status: Literal["ready", "loading", "failed"]
    detail: str
    model_name: str | None
    model_version: str | None


class Problem(BaseModel):
    """One part of a request that is not as it should be."""

    field: str = Field(description="Such as `drug.smiles` or `pairs.3.target.sequence`.")
    problem: str


class ErrorBody(BaseModel):
    """Every answer that is not 2xx, except that of /health."""

    detail: str
    problems: list[Problem] = []


def request_examples() -> dict[str, dict[str, Any]]:
    """Return the examples for /docs, by name: the files that the README's curl sends."""
    return {
        path.stem: {"summary": summary, "value": json.loads(path.read_text(encoding="utf-8"))}
        for path, summary in (
            (EXAMPLES / "caffeine_a2a.json", "Caffeine and the adenosine A2A receptor"),
            (EXAMPLES / "two_pairs.json", "A broken SMILES beside a good one"),
        )
    }
