"""DrugBAN's sizes: the one place of the benchmark that reads the fields of its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from stages.dti.config.model import AnyModel, BanConfig, DrugBANConfig, GraphConfig, SequenceConfig
from stages.dti.errors import ConfigError


@dataclass(frozen=True)
class Padding:
    """The size of every drug in atoms, and of every target in residues."""

    atoms: int
    residues: int


@dataclass(frozen=True)
class NetworkSizes:
    """Widths of the published network: GCN, CNN, bilinear attention, MLP.

    Attributes:
        filters: the residue embedding's width, then each convolution's.
        rank: K, the low-rank width of the attention, ``dim`` × ``pooling``.
    """

    graph_dim: int
    graph_layers: int
    filters: tuple[int, ...]
    kernels: tuple[int, ...]
    heads: int
    dim: int
    pooling: int
    hidden_dim: int
    out_dim: int
    dropout: float

    @property
    def rank(self) -> int:
        """Return K."""
        return self.dim * self.pooling

    @property
    def convolutions(self) -> list[tuple[int, int, int]]:
        """Return each convolution's input width, output width and kernel."""
        widths = pairwise(self.filters)
        return [(*pair, kernel) for pair, kernel in zip(widths, self.kernels, strict=True)]

    @property
    def classifier(self) -> list[tuple[int, int]]:
        """Return the input and output width of each linear layer of the classifier."""
        return list(pairwise([self.dim, self.hidden_dim, self.hidden_dim, self.out_dim, 1]))

    @classmethod
    def of(cls, config: DrugBANConfig) -> NetworkSizes:
        """Read the widths from the configuration of a model.

        Raises:
            ConfigError: one of its parts is not the published one.
        """
        drug, target, interaction = config.drug, config.target, config.interaction
        if (
            not isinstance(drug, GraphConfig)
            or drug.layer != "gcn"
            or not isinstance(target, SequenceConfig)
            or not isinstance(interaction, BanConfig)
        ):
            raise ConfigError(
                "model: the benchmark compares the published network (graph of gcn layers, "
                "sequence_cnn, ban) with its published form, and this model has "
                f"{drug.name}, {target.name}, {interaction.name}; choose model=drugban"
            )
        return cls(
            graph_dim=drug.dim,
            graph_layers=drug.layers,
            filters=(target.residue_dim, *target.filters),
            kernels=tuple(target.kernels),
            heads=interaction.heads,
            dim=interaction.dim,
            pooling=interaction.pooling,
            hidden_dim=config.mlp_hidden_dim,
            out_dim=config.mlp_out_dim,
            dropout=config.dropout,
        )


def published_network(config: AnyModel) -> DrugBANConfig:
    """Return ``config`` if it is the network that the reference computes.

    Raises:
        ConfigError: it is another one, which has no padded reference to be compared with.
    """
    if not isinstance(config, DrugBANConfig):
        raise ConfigError(
            f"model: the benchmark compares DrugBAN with its published form, not {config.name}; "
            "choose model=drugban"
        )
    NetworkSizes.of(config)
    return config
