"""What a ``Predictor`` is asked, what it answers, and the facts that it tells of its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

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


@dataclass(frozen=True)
class Prediction:
    """The answer to one pair.

    Attributes:
        status: ``ok``, or ``invalid`` with a ``reason`` and no numbers.
        smiles: canonical, standardised SMILES that was scored.
        drug_name: the name by which the model knows this exact drug, if it does.
        target_id, target_name: by which the model knows this exact sequence, if it does.
        score: the model's output in [0, 1]; higher = more likely to interact.
        probability: the calibrated score.
        threshold: on ``probability``; chosen on validation.
        interacts: ``probability >= threshold``.
        drug_similarity: largest Tanimoto similarity to a drug in train.
        target_similarity: largest sequence similarity to a target in train.
        drug_seen, target_seen, pair_seen: whether exactly this one was in train.
        prediction_set: the answers that cannot be ruled out (``uncertainty/conformal.py``).
        domain_distance: how far from train, in units of the applicability domain's limit
            (``uncertainty/applicability_domain.py``); 0: drug and target both stand in train.
        in_domain: ``domain_distance <= 1``.
        spread: standard deviation of the calibrated probabilities that an ensemble's members give,
            the epistemic part of the uncertainty; ``None`` for any other model.
    """

    status: Literal["ok", "invalid"]
    reason: str | None = None
    smiles: str | None = None
    drug_name: str | None = None
    target_id: str | None = None
    target_name: str | None = None
    score: float | None = None
    probability: float | None = None
    threshold: float | None = None
    interacts: bool | None = None
    drug_similarity: float | None = None
    target_similarity: float | None = None
    drug_seen: bool | None = None
    target_seen: bool | None = None
    pair_seen: bool | None = None
    prediction_set: PredictionSet | None = None
    domain_distance: float | None = None
    in_domain: bool | None = None
    spread: float | None = None


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
