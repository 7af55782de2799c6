"""What is measured, at which sizes, and for how long: the section ``benchmark``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stages.dti.config.base import Seconds, Section
from tests.reference.sizes import Padding

CaseName = Literal[
    "parity",
    "encode_drugs",
    "encode_targets",
    "train_step",
    "epoch",
    "predict_one",
    "predict_batch",
    "screen",
    "screen_precision",
    "featurize",
    "cold_start",
    "process_settings",
    "profile",
]

Size = Annotated[int, Field(ge=1, le=100_000)]
Sizes = Annotated[list[Size], Field(min_length=1, max_length=20)]


class BenchmarkSizes(Section):
    """The sizes at which each case is measured, so that growth is seen."""

    encoded: Size = Field(description="drugs or targets that are encoded at once")
    atoms: Sizes = Field(description="of each drug that is encoded")
    residues: Sizes = Field(description="of each target that is encoded, and of predict_one's")
    step_pairs: Annotated[list[Annotated[int, Field(ge=2, le=100_000)]], Field(min_length=1)] = (
        Field(description="batch sizes of a training step")
    )
    epoch_pairs: Sizes = Field(description="training pairs of an epoch; all, if there are fewer")
    predicted_pairs: Sizes
    screen_drugs: Sizes = Field(
        description="approved drugs, then training drugs; all, if there are fewer"
    )
    screen_targets: Sizes = Field(
        description="one for each of screen_drugs; all of the data, if there are fewer"
    )
    molecules: Sizes = Field(description="that are featurized")
    cold_drugs: Sizes = Field(description="approved drugs that a fresh process ranks")

    @model_validator(mode="after")
    def _screens_match(self) -> Self:
        if len(self.screen_drugs) != len(self.screen_targets):
            raise ValueError("screen_drugs and screen_targets must be of the same length")
        return self


class BenchmarkConfig(Section):
    """The section ``benchmark``, of ``conf/`` beside this module."""

    cases: list[CaseName] = Field(min_length=1, max_length=20)
    repeats: int = Field(ge=1, le=1000, description="runs that count, of each way to do a case")
    budget_s: Seconds = Field(
        description="shared by the cases; each is measured once whatever that takes"
    )
    padded_atoms: int = Field(ge=1, le=1000, description="of every drug of the reference")
    padded_residues: int = Field(ge=1, le=10_000, description="of every target of the reference")
    reference_pairs: int = Field(
        ge=2, le=1000, description="pairs that the reference scores where the others score many"
    )
    explicit_drugs: Size = Field(description="of a screen, that go through explicit maps")
    explicit_targets: Size = Field(description="of a screen, that go through explicit maps")
    profile_steps: int = Field(ge=1, le=1000)
    profile_operators: int = Field(ge=1, le=1000, description="listed, by self time")
    sizes: BenchmarkSizes

    @property
    def padding(self) -> Padding:
        """Return the size of every drug and target of the reference."""
        return Padding(self.padded_atoms, self.padded_residues)

    @model_validator(mode="after")
    def _cases_are_named_once(self) -> Self:
        if len(set(self.cases)) < len(self.cases):
            raise ValueError("cases names a case twice")
        return self

    @model_validator(mode="after")
    def _targets_fit(self) -> Self:
        if max(self.sizes.residues) > self.padded_residues:
            raise ValueError("sizes.residues holds more than padded_residues")
        if max(self.sizes.atoms) > self.padded_atoms:
            raise ValueError("sizes.atoms holds more than padded_atoms")
        return self
