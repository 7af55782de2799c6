"""The whole network: encoders, bilinear attention, classifier."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.dti.config.model import BanConfig, ConcatConfig, DrugBANConfig
from stages.dti.features.store import PairData
from stages.dti.models.drugban.attention import BilinearAttention
from stages.dti.models.drugban.batch import DrugBatch, PairBatch, TargetBatch
from stages.dti.models.drugban.concatenation import Concatenation
from stages.dti.models.drugban.encoders import (
    GRAPH_AND_SEQUENCE,
    Widths,
    drug_encoder,
    target_encoder,
)
from stages.dti.models.drugban.interaction import Interaction, Joiner
from stages.dti.models.drugban.ops import Dropout, RowBatchNorm


class Classifier(nn.Module):
    """The published decoder: three layers of BatchNorm(ReLU(linear)), then one logit.

    Dropout after each of the three is ours; without it the decoder alone learns train by heart.
    """

    def __init__(self, dim: int, hidden_dim: int, out_dim: int, dropout: float) -> None:
        super().__init__()
        widths = [dim, hidden_dim, hidden_dim, out_dim]
        self.linears = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.norms = nn.ModuleList(RowBatchNorm(width) for width in widths[1:])
        self.logit = nn.Linear(out_dim, 1)
        self.dropout = Dropout(dropout)

    def forward(self, joint: Tensor) -> Tensor:
        """Map ``(pairs, dim)`` to logits ``(pairs,)``."""
        for linear, norm in zip(self.linears, self.norms, strict=True):
            joint = self.dropout(norm(F.relu(linear(joint)).float()))
        logits: Tensor = self.logit(joint)
        return logits.squeeze(1)


class DrugBANNetwork(nn.Module):
    """DrugBAN on packed batches; ``forward`` returns one logit per pair.

    Args:
        widths: of the features that the encoders read.
    """

    def __init__(self, config: DrugBANConfig, widths: Widths = GRAPH_AND_SEQUENCE) -> None:
        super().__init__()
        self.drug_encoder = drug_encoder(config.drug, widths.drug)
        self.target_encoder = target_encoder(config.target, widths.target)
        joined_dims = (self.drug_encoder.dim, self.target_encoder.dim)
        match config.interaction:
            case BanConfig(dim=dim, heads=heads, pooling=pooling):
                self.attention = BilinearAttention(
                    *joined_dims, dim, heads, pooling, config.dropout
                )
            case ConcatConfig(dim=dim):
                self.concatenation = Concatenation(*joined_dims, dim, config.dropout)
        self.joint_norm = RowBatchNorm(self.interaction.dim)
        self.classifier = Classifier(
            self.interaction.dim, config.mlp_hidden_dim, config.mlp_out_dim, config.mlp_dropout
        )

    @property
    def interaction(self) -> Interaction:
        """Whichever of the two the network has."""
        return self.attention if hasattr(self, "attention") else self.concatenation

    def encode_drugs(self, drugs: DrugBatch, joiner: Joiner) -> Tensor:
        """Return the drugs' rows, ready for ``joiner.meet``; it is the interaction's."""
        return joiner.drugs(self.drug_encoder(drugs), drugs.starts)

    def encode_target(self, target: TargetBatch, joiner: Joiner) -> Tensor:
        """Return the rows of the only target of a batch, likewise."""
        return joiner.target(self.target_encoder(target)[: target.ends[0]])

    def representation(self, joint: Tensor) -> Tensor:
        """Pool and normalise f ``(pairs, K)`` to the joint representation ``(pairs, dim)``."""
        normalised: Tensor = self.joint_norm(self.interaction.pool(joint).float())
        return normalised

    def classify(self, joint: Tensor) -> Tensor:
        """Map f ``(pairs, K)`` to logits ``(pairs,)``."""
        logits: Tensor = self.classifier(self.representation(joint))
        return logits

    def joint(self, batch: PairBatch) -> Tensor:
        """Return what the interaction makes of each pair, ``(pairs, width)``, in order."""
        joint: Tensor = self.interaction(
            self.drug_encoder(batch.drugs), self.target_encoder(batch.targets), batch
        )
        return joint

    def forward(self, batch: PairBatch) -> Tensor:
        """Return logits ``(pairs,)``, in the order of the batch's pairs."""
        return self.classify(self.joint(batch))


def pair_batch(
    data: PairData,
    rows: NDArray[np.int64],
    network: DrugBANNetwork,
    crop: int = 0,
    generator: np.random.Generator | None = None,
) -> PairBatch:
    """Collect what ``network`` reads of ``rows`` of ``data``, stably sorted by target.

    Args:
        crop: targets of more rows than this are cut to a random window of ``crop``; 0: never.
        generator: draws the windows; required when ``crop`` is not 0.
    """
    order = rows[np.argsort(data.target_index[rows], kind="stable")]
    drug_rows, drug = np.unique(data.drug_index[order], return_inverse=True)
    target_rows, target = np.unique(data.target_index[order], return_inverse=True)
    drugs = network.drug_encoder.collect(data.drugs, drug_rows, data.scalers)
    targets = network.target_encoder.collect(
        data.targets, target_rows, data.scalers, crop, generator
    )
    return PairBatch(
        drugs=drugs,
        targets=targets,
        plan=network.interaction.plan(drugs, targets, drug, target),
        drug=drug.astype(np.int64),
        target=target.astype(np.int64),
        labels=None if data.labels is None else torch.from_numpy(data.labels[order]),
        weights=None if data.weights is None else torch.from_numpy(data.weights[order]),
    )
