"""Section ``standardise``: what becomes of a SMILES and a sequence, in training and in serving."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from stages.dti.config.base import Section


class StandardiseConfig(Section):
    """Part of every model, so that a request is treated as the training data was."""

    keep_largest_fragment: bool = Field(description="drops salts and solvents")
    neutralise_charges: bool
    keep_stereochemistry: bool
    max_heavy_atoms: int = Field(ge=1, le=100_000, description="a larger drug is refused")
    max_smiles_characters: int = Field(ge=1, le=1_000_000, description="a longer SMILES is refused")
    max_fragments: int = Field(
        ge=1, le=100_000, description="a mixture of more molecules is refused"
    )
    max_rings: int = Field(
        ge=1, le=100_000, description="a SMILES with more ring closures is refused"
    )
    max_fused_rings: int = Field(
        ge=1,
        le=20,
        description="a larger net of fused unsaturated rings is refused; each further "
        "ring doubles the time",
    )
    min_residues: int = Field(ge=1, le=1_000_000, description="a shorter sequence is refused")
    max_residues: int = Field(ge=1, le=1_000_000, description="a longer sequence is refused")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_residues > self.max_residues:
            raise ValueError("min_residues is above max_residues")
        return self
