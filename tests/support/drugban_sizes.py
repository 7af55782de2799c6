"""DrugBAN of its published parts in small sizes, for tests."""

from __future__ import annotations

from stages.dti.config.model import DrugBANConfig


def drugban_of(
    *,
    graph_dim: int = 16,
    graph_layers: int = 2,
    residue_dim: int = 8,
    cnn_filters: tuple[int, ...] = (16, 16),
    cnn_kernels: tuple[int, ...] = (3, 5),
    ban_heads: int = 2,
    ban_dim: int = 16,
    ban_pooling: int = 2,
    mlp_hidden_dim: int = 16,
    mlp_out_dim: int = 8,
    dropout: float = 0.0,
) -> DrugBANConfig:
    """Graph convolution, sequence convolution and bilinear attention of these sizes."""
    return DrugBANConfig.model_validate(
        {
            "name": "drugban",
            "drug": {
                "name": "graph",
                "layer": "gcn",
                "dim": graph_dim,
                "layers": graph_layers,
            },
            "target": {
                "name": "sequence_cnn",
                "residue_dim": residue_dim,
                "filters": list(cnn_filters),
                "kernels": list(cnn_kernels),
            },
            "interaction": {
                "name": "ban",
                "heads": ban_heads,
                "dim": ban_dim,
                "pooling": ban_pooling,
            },
            "mlp_hidden_dim": mlp_hidden_dim,
            "mlp_out_dim": mlp_out_dim,
            "dropout": dropout,
            "mlp_dropout": dropout,
        }
    )
