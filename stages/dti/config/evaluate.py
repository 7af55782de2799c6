"""Section ``evaluate``: intervals, bins and strata of the evaluation."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from stages.dti.config.base import Fraction, Section, Seed


class PretrainedConfig(Section):
    """A model trained elsewhere, that stands beside the candidate as a baseline does.

    Its hash makes it an input that the parameters declare: with other files under the same name
    the stage fails instead of measuring them.
    """

    source: str = Field(
        min_length=1,
        description="a model folder, relative to the repository, or models:/NAME@alias",
    )
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the model's own files")


class EvaluateConfig(Section):
    """Parameters of the ``evaluate`` stage."""

    bootstrap_samples: int = Field(ge=100, le=100_000)
    confidence: float = Field(gt=0.5, lt=1, description="of every interval")
    seed: Seed
    calibration_bins: int = Field(ge=2, le=100, description="of equal width, 0 to 1")
    similarity_edges: list[Fraction] = Field(
        min_length=2,
        max_length=50,
        description="strata of nearest-train drug similarity (Tanimoto), 0 to 1",
    )
    robustness_pairs: int = Field(
        ge=0,
        le=1_000_000,
        description="test pairs, at most, on which changed inputs are tried; 0: none",
    )

    pretrained: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], PretrainedConfig] = Field(
        description="models to compare with that the pipeline does not train, by name"
    )

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if any(low >= high for low, high in pairwise(self.similarity_edges)):
            raise ValueError("similarity_edges must increase")
        if self.similarity_edges[0] != 0 or self.similarity_edges[-1] != 1:
            raise ValueError(
                "similarity_edges must begin at 0 and end at 1, so that no pair is left out"
            )
        return self
