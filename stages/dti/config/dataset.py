"""Section ``dataset``: which sources are read, in which form, and what counts as an interaction."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stages.dti.config.base import Name, Section, Text
from stages.dti.errors import nearest

Format = Literal["pairs", "tables", "deepdta", "bindingdb_dump"]

SPLIT_ROLES = ("train", "val", "test")
"""File roles of the form ``pairs`` when each part of a published split has its own file."""

REQUIRED_ROLES: dict[Format, tuple[str, ...]] = {
    "pairs": ("pairs",),
    "tables": ("drugs", "targets", "interactions"),
    "deepdta": ("affinity", "ligands", "proteins"),
    "bindingdb_dump": ("dump",),
}
OPTIONAL_ROLES: dict[Format, tuple[str, ...]] = {
    "pairs": SPLIT_ROLES,
    "tables": (),
    "deepdta": ("train_folds", "test_fold"),
    "bindingdb_dump": (),
}


DIFFERENT = ("smiles", "sequence", "affinity", "relation", "label", "split")
"""Columns that never share one of the file; an id may be the SMILES."""

UNITS: dict[str, Literal["lower", "higher"] | None] = {
    **dict.fromkeys(("pM", "nM", "uM", "\N{MICRO SIGN}M", "\N{GREEK SMALL LETTER MU}M"), "lower"),
    **dict.fromkeys(("mM", "M"), "lower"),
    **dict.fromkeys(("pKd", "pKi", "pIC50", "pEC50", "pChEMBL"), "higher"),
    **dict.fromkeys(("KIBA score", "score", "%"), None),
}
"""Unit of an affinity → which values are stronger; ``None`` where the source says so."""


class SourceFile(Section):
    """One file of a source: a local path, or a URL that fsspec opens (https, s3, file …).

    A local path is relative to the repository root. Without ``sha256`` whatever arrives is
    accepted, and its sha256 is recorded in ``data/raw/manifest.json``.
    """

    url: Text
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")


class Columns(Section):
    """Names of the source's columns; ``None`` where it has no such column."""

    smiles: Text | None = "smiles"
    sequence: Text | None = "sequence"
    drug_id: Text | None = None
    drug_name: Text | None = None
    target_id: Text | None = None
    affinity: Text | None = None
    relation: Text | None = None
    label: Text | None = None
    split: Text | None = None
    target_name: Text | None = None
    organism: Text | None = None
    target_class: Text | None = None


class LabelRule(Section):
    """How a row gets its label, 1 (interacts) or 0.

    ``given``: the label column holds 0 and 1. ``threshold``: the affinity, in ``unit``, decides:
    stronger than ``positive_threshold`` is 1; weaker than ``negative_threshold`` is 0; between
    the two the row is refused. ``inclusive`` says whether a value exactly at a threshold belongs
    to that class. Where both thresholds are the same value, that value is 1 if inclusive, else 0.
    Where lower is stronger, a value or threshold of zero or below has no meaning and is refused.
    """

    rule: Literal["given", "threshold"]
    unit: Text | None = None
    stronger: Literal["higher", "lower"] | None = None
    positive_threshold: float | None = None
    negative_threshold: float | None = None
    inclusive: bool = True

    @model_validator(mode="after")
    def _complete(self) -> Self:
        fields = (self.unit, self.stronger, self.positive_threshold, self.negative_threshold)
        if self.rule == "given":
            if any(field is not None for field in fields):
                raise ValueError("rule 'given' takes no unit, direction or threshold")
            return self
        if any(field is None for field in fields):
            raise ValueError(
                "rule 'threshold' needs unit, stronger, positive_threshold and negative_threshold"
            )
        assert self.positive_threshold is not None
        assert self.negative_threshold is not None
        assert self.unit is not None
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r} is unknown{_nearest_unit(self.unit)}")
        if UNITS[self.unit] not in (None, self.stronger):
            raise ValueError(
                f"in {self.unit} the {UNITS[self.unit]} value is the stronger one; set "
                f"stronger: {UNITS[self.unit]}, or the right unit"
            )
        if self.stronger == "lower" and min(self.positive_threshold, self.negative_threshold) <= 0:
            raise ValueError("where lower is stronger, both thresholds must be above 0")
        gap = self.positive_threshold - self.negative_threshold
        if (gap if self.stronger == "higher" else -gap) < 0:
            raise ValueError("positive_threshold must be at least as strong as negative_threshold")
        return self


def _nearest_unit(unit: str) -> str:
    molar = unit.casefold().replace("mol/l", "m").replace("molar", "m")
    return nearest(molar, UNITS)


class Source(Section):
    """One published data set in one of the known forms (``stages/dti/data/sources/formats.py``)."""

    format: Format
    files: dict[str, SourceFile]
    columns: Columns = Columns()
    label: LabelRule
    measurements: tuple[Literal["Kd", "Ki", "IC50", "EC50"], ...] = Field(
        default=("Kd", "Ki", "IC50"),
        strict=False,  # YAML has lists alone
        min_length=1,
        description="bindingdb_dump: a row's affinity is the first of these that it has",
    )
    validation_fold: int = Field(
        default=0, ge=0, le=1000, description="deepdta: the fold used to validate"
    )
    licence: str | None = None
    homepage: str | None = None

    @field_validator("files", mode="before")
    @classmethod
    def _without_files_not_given(cls, files: Any) -> Any:
        """Drop roles of which all is null: a configuration lists them so that they can be set."""
        if not isinstance(files, dict):
            return files
        return {
            role: file
            for role, file in files.items()
            if not (isinstance(file, dict) and not any(file.values()))
        }

    @field_validator("files")
    @classmethod
    def _known_roles(
        cls, files: dict[str, SourceFile], info: ValidationInfo
    ) -> dict[str, SourceFile]:
        if "format" not in info.data:  # its own error is reported
            return files
        kind: Format = info.data["format"]
        required, optional = REQUIRED_ROLES[kind], OPTIONAL_ROLES[kind]
        for role in files:
            if role not in required + optional:
                raise ValueError(
                    f"form {kind} has no file {role!r}{nearest(role, required + optional)}"
                )
        if kind == "pairs" and files and "pairs" not in files:
            required = ("train", "test")
        missing = [role for role in required if role not in files]
        if missing:
            raise ValueError(
                f"form {kind} needs the file {missing[0]!r}, and it is not given; "
                f"set files.{missing[0]}.url to a path or URL"
            )
        if kind == "pairs" and "pairs" in files and len(files) > 1:
            raise ValueError("give either the file 'pairs' or one file per split, not both")
        return files

    @field_validator("measurements")
    @classmethod
    def _each_once(cls, measurements: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(measurements)) < len(measurements):
            raise ValueError("a measurement is named twice")
        return measurements

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        """A column that a form or label rule needs is named; one that it ignores is not."""
        if self.format in ("deepdta", "bindingdb_dump"):
            if self.label.rule != "threshold":
                raise ValueError(f"form {self.format} holds affinities: label.rule is 'threshold'")
            return self
        needed = ["affinity"] if self.label.rule == "threshold" else ["label"]
        needed += ["smiles", "sequence"]
        if self.format == "tables":
            needed += ["drug_id", "target_id"]
        for name in needed:
            if getattr(self.columns, name) is None:
                raise ValueError(
                    f"columns.{name} is needed by form {self.format} "
                    f"with label.rule {self.label.rule!r}, and it is not given"
                )
        named = [getattr(self.columns, name) for name in DIFFERENT]
        for name, column in zip(DIFFERENT, named, strict=True):
            if column is not None and named.count(column) > 1:
                raise ValueError(f"columns.{name}: {column!r} is named for another column too")
        if self.label.rule == "given" and (self.columns.affinity or self.columns.relation):
            raise ValueError(
                "columns.affinity and columns.relation are not used by label.rule 'given'; "
                "leave them null, or set label.rule=threshold"
            )
        return self


class DatasetConfig(Section):
    """The record set: every source, merged in the order given.

    ``dataset=[human,biosnap]`` composes several options into one such section.
    """

    sources: dict[Name, Source] = Field(min_length=1)

    @property
    def name(self) -> str:
        """The sources' names, joined by ``+``."""
        return "+".join(self.sources)
