"""Section ``split``: how pairs are divided into train, validation and test."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.dti.config.base import Section, Seed

ADAPTABLE = ("cold_drug", "cold_target", "cold_pair", "cluster")
"""Kinds whose test pairs are of a domain of their own."""


class SplitConfig(Section):
    """One split (``stages/dti/data/splitting/splits.py`` says what each kind promises).

    The fractions are of the pairs used; ``published`` reads them only to carve a validation part
    from train where the source names none.
    """

    kind: Literal[
        "random", "cold_drug", "cold_target", "cold_pair", "scaffold", "cluster", "published"
    ]
    train_fraction: float = Field(gt=0, lt=1)
    val_fraction: float = Field(gt=0, lt=1)
    test_fraction: float = Field(gt=0, lt=1)
    adapt_fraction: float = Field(
        ge=0,
        lt=1,
        description="cluster and cold splits: share of the test pairs that become part adapt, "
        "whose pairs domain adaptation may read without their labels, and which are never tested",
    )
    seed: Seed
    cluster_drug_similarity: float = Field(
        gt=0, le=1, description="cluster: highest Tanimoto (ECFP4) of drugs in different parts"
    )
    cluster_target_similarity: float = Field(
        gt=0,
        le=1,
        description="cluster: highest 4-mer similarity of targets in different parts; 0.5 is "
        "about 40 % global identity",
    )
    max_overlap_fraction: float = Field(
        ge=0,
        le=1,
        description="published: largest share of test pairs that the source may repeat in train; "
        "they are kept in test alone",
    )

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.train_fraction + self.val_fraction + self.test_fraction
        if abs(total - 1) > 1e-6:
            raise ValueError(
                "train_fraction, val_fraction and test_fraction must sum to 1, they sum to "
                f"{total:g}"
            )
        return self

    @model_validator(mode="after")
    def _has_a_domain_to_adapt_to(self) -> Self:
        if self.adapt_fraction and self.kind not in ADAPTABLE:
            raise ValueError(
                f"adapt_fraction is {self.adapt_fraction:g}, but the test pairs of split "
                f"{self.kind} are of no other domain than train; use one of {', '.join(ADAPTABLE)}"
            )
        return self
