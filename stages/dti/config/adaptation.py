"""Section ``adaptation``: whether the network adapts to unlabelled pairs of the test domain."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, RootModel

from stages.dti.config.base import LearningRate, Section, Width


class NoAdaptationConfig(Section):
    """Plain training."""

    name: Literal["none"]


class CdanConfig(Section):
    """CDAN with entropy conditioning (``stages/dti/training/adaptation.py``)."""

    name: Literal["cdan"]
    start_epoch: int = Field(ge=0, le=10_000, description="the first epoch that adapts")
    weight: float = Field(
        ge=1e-6, le=1000, description="of the domain loss beside that of the labels"
    )
    hidden_dim: Width = Field(description="of the domain discriminator")
    learning_rate: LearningRate = Field(description="of the domain discriminator")


class AdaptationConfig(
    RootModel[Annotated[NoAdaptationConfig | CdanConfig, Field(discriminator="name")]]
):
    """Domain adaptation, or none."""
