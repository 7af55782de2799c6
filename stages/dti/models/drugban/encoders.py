"""From a configuration to its encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from stages.dti.config.model import (
    DescriptorsConfig,
    DrugBANConfig,
    EmbeddingEncoderConfig,
    FingerprintConfig,
    GraphConfig,
    SequenceConfig,
)
from stages.dti.errors import ConfigError
from stages.dti.features.store import ATOM_DIM, RESIDUE_TOKENS, DrugFeatures, TargetFeatures
from stages.dti.models.drugban.encoder import DrugEncoder, TargetEncoder
from stages.dti.models.drugban.graph_encoder import GraphEncoder
from stages.dti.models.drugban.sequence_encoder import SequenceEncoder
from stages.dti.models.drugban.vector_encoders import (
    DrugDescriptorsEncoder,
    EmbeddingEncoder,
    FingerprintEncoder,
    TargetDescriptorsEncoder,
)


@dataclass(frozen=True)
class Widths:
    """Widths of the features that the two encoders read."""

    drug: int
    target: int

    @classmethod
    def of(cls, config: DrugBANConfig, drugs: DrugFeatures, targets: TargetFeatures) -> Self:
        """Return the widths of what ``config`` reads of these features.

        Raises:
            ConfigError: it reads embeddings, and there are none.
        """
        drug = {
            "graph": ATOM_DIM,
            "fingerprint": 8 * drugs.fingerprints.shape[1],
            "descriptors": drugs.descriptors.shape[1],
        }[config.drug.name]
        target = {
            "sequence_cnn": RESIDUE_TOKENS,
            "descriptors": targets.descriptors.shape[1],
            "embedding": targets.embeddings.shape[1],
        }[config.target.name]
        if not target:
            raise ConfigError(
                "model.target.name: embedding, but the features have no embeddings; choose a "
                "language model, such as features=esm2, then run `dvc repro`"
            )
        return cls(drug, target)


GRAPH_AND_SEQUENCE = Widths(ATOM_DIM, RESIDUE_TOKENS)
"""These two never differ; the others depend on the parameters of the features."""


def drug_encoder(
    config: GraphConfig | FingerprintConfig | DescriptorsConfig, width: int
) -> DrugEncoder:
    """Build the drug encoder for features ``width`` wide."""
    match config:
        case GraphConfig():
            return GraphEncoder(config)
        case FingerprintConfig():
            return FingerprintEncoder(width, config.hidden_dim)
        case DescriptorsConfig():
            return DrugDescriptorsEncoder(width, config.hidden_dim)


def target_encoder(
    config: SequenceConfig | DescriptorsConfig | EmbeddingEncoderConfig, width: int
) -> TargetEncoder:
    """Build the target encoder for features ``width`` wide."""
    match config:
        case SequenceConfig():
            return SequenceEncoder(config)
        case DescriptorsConfig():
            return TargetDescriptorsEncoder(width, config.hidden_dim)
        case EmbeddingEncoderConfig():
            return EmbeddingEncoder(width, config.hidden_dim)
