"""The whole network: encoders, bilinear attention, classifier."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.dti.config.model import DrugBANConfig
from stages.dti.models.drugban.attention import BilinearAttention
from stages.dti.models.drugban.batch import DrugBatch, PairBatch, TargetBatch
from stages.dti.models.drugban.encoders import DrugEncoder, RowBatchNorm, TargetEncoder


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

    def classify(self, joint: Tensor) -> Tensor:
        """Map f ``(pairs, K)`` to logits ``(pairs,)``."""
        logits: Tensor = self.classifier(self.joint_norm(self.attention.pool(joint).float()))
        return logits

    def forward(self, batch: PairBatch) -> Tensor:
        """Return logits ``(pairs,)`` in the order of the batch's pairs.

        The pairs are sorted by target, so each target's map is computed against the atoms of all
        its drugs at once.
        """
        v = self.encode_drugs(batch.drugs)
        q = self.encode_targets(batch.targets)
        starts = batch.drugs.starts
        sizes = starts[batch.drug + 1] - starts[batch.drug]
        # Atoms of every pair's drug, one pair after the other.
        pair_starts = np.concatenate([[0], np.cumsum(sizes)])
        atom_rows = np.arange(pair_starts[-1]) + np.repeat(
            starts[batch.drug] - pair_starts[:-1], sizes
        )
        pair_atoms = v.index_select(0, torch.from_numpy(atom_rows).to(v.device))
        # One split each: slicing would make autograd add up one full-sized gradient per slice.
        bounds = np.searchsorted(batch.target, np.arange(len(batch.targets.starts) + 1))
        atoms_of_target = torch.split(pair_atoms, np.diff(pair_starts[bounds]).tolist())
        residues_of_target = torch.split(q, _lengths_and_gaps(batch.targets))[::2]
        shares = [
            self.attention.attend(atoms, residues)
            for atoms, residues in zip(atoms_of_target, residues_of_target, strict=True)
        ]
        pair_of_atom = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)).to(v.device)
        joint = torch.zeros(len(sizes), v.shape[1], device=v.device)
        joint = joint.index_add(0, pair_of_atom, torch.cat(shares).float())
        joint = joint / torch.from_numpy(sizes).to(v.device).unsqueeze(1)
        return self.classify(joint)


def _lengths_and_gaps(targets: TargetBatch) -> list[int]:
    """Return the positions of target 0, of the gap after it, of target 1, and so on."""
    bounds = np.stack([targets.starts, targets.ends], axis=1).ravel()
    widths: list[int] = np.diff([*bounds, len(targets.tokens)]).tolist()
    return widths
