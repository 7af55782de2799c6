"""Section ``validate``: which properties of the raw tables are checked, and how strictly."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.dti.config.base import Count, Section


class ValidateConfig(Section):
    """Thresholds of the checks; ``min_*_fraction`` is the least share of rows that must pass."""

    on_failure: Literal["fail", "report"] = Field(
        description="fail: a failed check stops the pipeline; report: it is only written down"
    )
    min_quality_score: float = Field(ge=0, le=100, description="below it the stage fails")
    min_rows: Count
    min_drugs: Count = Field(description="different SMILES")
    min_targets: Count = Field(description="different sequences")
    min_complete_fraction: float = Field(
        ge=0, le=1, description="identifier, SMILES and sequence are given"
    )
    min_valid_smiles_fraction: float = Field(ge=0, le=1)
    min_valid_sequence_fraction: float = Field(ge=0, le=1)
    min_valid_measurement_fraction: float = Field(
        ge=0, le=1, description="numeric affinity or label 0/1, with a known relation"
    )
    min_usable_fraction: float = Field(
        ge=0, le=1, description="coverage: rows in which everything above holds together"
    )
    min_unique_pair_fraction: float = Field(ge=0, le=1)
    max_label_conflict_fraction: float = Field(
        ge=0, le=1, description="labelled rows whose pair also has the other label"
    )
    min_positive_fraction: float = Field(ge=0, le=1)
    max_positive_fraction: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_positive_fraction > self.max_positive_fraction:
            raise ValueError("min_positive_fraction is above max_positive_fraction")
        return self
