"""Section ``promote``: the gate that a candidate must pass."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.dti.config.base import Section


class PromoteConfig(Section):
    """Thresholds on the test set of ``evaluate``."""

    metric: Literal["auroc", "auprc"]
    floor: float = Field(ge=0, le=1, description="the metric's least value")
    must_beat: list[str] = Field(description="baselines that the candidate must exceed")
    must_beat_margin: float = Field(ge=0, le=1)
    max_loss_to_previous: float = Field(ge=0, le=1, description="margin to the promoted model")
    golden_pairs: int = Field(ge=1, le=1000, description="pairs whose scores the server re-checks")
