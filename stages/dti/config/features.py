"""Section ``features``: what is computed per unique drug and per unique target."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.dti.config.base import Section, Text


class EmbeddingConfig(Section):
    """Sequence embeddings of a pretrained protein language model (ESM-2, ProtBERT)."""

    model: Text = Field(description="a folder, relative to the repository, or a name on the hub")
    revision: Text = Field(description="of the hub: branch, tag or commit")
    sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="of the model's files; null: whatever is found",
    )
    layer: int = Field(
        ge=-1000, le=1000, description="hidden states of this layer: 0 is the input, -1 the last"
    )
    pooling: Literal["mean", "residues"] = Field(
        description="one row per target, the mean over its residues, or one row per residue"
    )
    window_residues: int = Field(
        ge=1, le=1_000_000, description="a longer sequence is read in windows of equal length"
    )


class FeaturesConfig(Section):
    """Parameters of the featurizers; part of every model, so that serving computes the same."""

    fingerprint_radius: int = Field(ge=1, le=6)
    fingerprint_bits: int = Field(ge=64, le=16384, multiple_of=8)
    max_residues: int = Field(
        ge=1, le=1_000_000, description="a longer sequence is cut to its first residues"
    )
    kmer_bins: int = Field(ge=0, le=65536, description="hashed 3-mers in the sequence descriptors")
    embedding: EmbeddingConfig | None = None


class FeaturizeConfig(Section):
    """Section ``featurize``: what the stage writes beside the store."""

    export_csv: bool
