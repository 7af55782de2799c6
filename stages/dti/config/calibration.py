"""Section ``calibration``: how scores become probabilities, decisions and prediction sets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.dti.config.base import Section


class CalibrationConfig(Section):
    """What is fitted on validation once a model is trained."""

    method: Literal["platt", "isotonic", "none"]
    threshold_metric: Literal["f1", "mcc", "youden"] = Field(
        description="the threshold maximises it on validation"
    )
    conformal_coverage: float = Field(
        ge=0.5,
        le=0.999,
        description="share of each class whose prediction set shall hold the truth",
    )
    conformal_fraction: float = Field(
        ge=0,
        le=0.9,
        description="share of the validation pairs, by a hash of the pair, that serves conformal "
        "prediction alone; 0: all of validation serves it too, and coverage is approximate",
    )
