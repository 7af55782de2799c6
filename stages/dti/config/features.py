"""Section ``features``: what is computed per unique drug and per unique target."""

from __future__ import annotations

from pydantic import Field

from stages.dti.config.base import Section


class FeaturesConfig(Section):
    """Parameters of the featurisers; part of every model, so that serving computes the same."""

    fingerprint_radius: int = Field(ge=1, le=6)
    fingerprint_bits: int = Field(ge=64, le=16384, multiple_of=8)
    max_residues: int = Field(ge=1, description="a longer sequence is cut to its first residues")
    kmer_bins: int = Field(ge=0, le=65536, description="hashed 3-mers in the sequence descriptors")


class FeaturizeConfig(Section):
    """Section ``featurize``: what the stage writes beside the store."""

    export_csv: bool
