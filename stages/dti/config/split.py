"""Section ``split``: how pairs are divided into train, validation and test."""

from __future__ import annotations

from math import sqrt
from typing import Literal, Self

from pydantic import Field, model_validator

from stages.dti.config.base import Section, Seed

ADAPTABLE = ("cold_drug", "cold_target", "cold_pair", "cluster")
"""Kinds whose test pairs are of a domain of their own."""

_TWO_SIDED = ("cold_pair", "cluster")
"""Kinds that divide drugs and targets alike."""

_MAX_FOLDS = 100


def fold_count(train: float, val: float) -> int:
    """Return into how many folds train and validation fall, if each is about as large as ``val``.

    At least 2, at most 100.
    """
    return min(1 + max(1, round(train / val)), _MAX_FOLDS)


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
    validation_fold: int = Field(
        ge=0,
        le=99,
        description="which fold of train and validation is the validation part; the test part is "
        "the same for each",
    )
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

    @property
    def folds(self) -> int:
        """Into how many folds train and validation fall; ``published``: if it had the fractions.

        Where drugs and targets are divided alike, a share of each is a fold, and holds the square
        of that share of the pairs.
        """
        train, val = self.train_fraction, self.val_fraction
        if self.kind in _TWO_SIDED:
            train, val = sqrt(train), sqrt(val)
        return fold_count(train, val)

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

    @model_validator(mode="after")
    def _validates_on_a_fold(self) -> Self:
        if self.kind != "published" and self.validation_fold >= self.folds:
            raise ValueError(
                f"validation_fold is {self.validation_fold}, but split {self.kind} with "
                f"train_fraction {self.train_fraction:g} and val_fraction {self.val_fraction:g} "
                f"has folds 0 to {self.folds - 1}"
            )
        return self
