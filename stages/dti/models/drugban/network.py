"""The whole network: encoders, bilinear attention, classifier."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from stages.dti.config.model import DrugBANConfig
from stages.dti.models.drugban.attention import BilinearAttention
from stages.dti.models.drugban.batch import DrugBatch, PairBatch, TargetBatch
from stages.dti.models.drugban.encoders import DrugEncoder, TargetEncoder
from stages.dti.models.drugban.masked import RowBatchNorm


class Classifier(nn.Module):
    """The published decoder: three layers of BatchNorm(ReLU(linear)), then one logit."""

    def __init__(self, dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        widths = [dim, hidden_dim, hidden_dim, out_dim]
        self.linears = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.norms = nn.ModuleList(RowBatchNorm(width) for width in widths[1:])
        self.logit = nn.Linear(out_dim, 1)

    def forward(self, joint: Tensor) -> Tensor:
        """Map ``(pairs, dim)`` to logits ``(pairs,)``."""
        for linear, norm in zip(self.linears, self.norms, strict=True):
            joint = norm(F.relu(linear(joint)).float())
        logits: Tensor = self.logit(joint)
        return logits.squeeze(1)


class DrugBANNetwork(nn.Module):
    """DrugBAN on packed batches; ``forward`` returns one logit per pair."""

    def __init__(self, config: DrugBANConfig) -> None:
        super().__init__()
        self.drug_encoder = DrugEncoder(config.graph_dim, config.graph_layers)
        self.target_encoder = TargetEncoder(
            config.residue_dim, config.cnn_filters, config.cnn_kernels
        )
        self.attention = BilinearAttention(
            config.graph_dim,
            config.cnn_filters[-1],
            config.ban_dim,
            config.ban_heads,
            config.ban_pooling,
            config.dropout,
        )
        self.joint_norm = RowBatchNorm(config.ban_dim)
        self.classifier = Classifier(config.ban_dim, config.mlp_hidden_dim, config.mlp_out_dim)

    def encode_drugs(self, drugs: DrugBatch) -> Tensor:
        """Return v, ``(atoms, K)``."""
        return self.attention.project_drugs(self.drug_encoder(drugs))

    def encode_targets(self, targets: TargetBatch) -> Tensor:
        """Return q, ``(positions, K)``; rows in the gaps mean nothing and are never read."""
        return self.attention.project_targets(self.target_encoder(targets))

    def representation(self, joint: Tensor) -> Tensor:
        """Pool and normalise f ``(pairs, K)`` to the joint representation ``(pairs, dim)``."""
        normalised: Tensor = self.joint_norm(self.attention.pool(joint).float())
        return normalised

    def classify(self, joint: Tensor) -> Tensor:
        """Map f ``(pairs, K)`` to logits ``(pairs,)``."""
        logits: Tensor = self.classifier(self.representation(joint))
        return logits

    def joint(self, batch: PairBatch) -> Tensor:
        """Return f ``(pairs, K)``, in the order of the batch's pairs."""
        joint: Tensor = self.attention(
            self.drug_encoder(batch.drugs),
            self.target_encoder(batch.targets),
            batch.targets,
            batch.plan,
            len(batch),
        )
        return joint

    def forward(self, batch: PairBatch) -> Tensor:
        """Return logits ``(pairs,)``, in the order of the batch's pairs."""
        return self.classify(self.joint(batch))
