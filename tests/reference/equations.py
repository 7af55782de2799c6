"""The published equations of DrugBAN, plain and slow: one pair, one head, one map at a time.

Shares no code with ``stages/dti/models/drugban``: it reads the same parameters by name.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.dti.config.model import BanConfig, DrugBANConfig, GraphConfig, SequenceConfig
from stages.dti.features.store import PairData


def reference_logits(network: nn.Module, config: DrugBANConfig, pairs: PairData) -> Tensor:
    """Return the logit of each pair, ``(pairs,)``, with gradients to the network's parameters."""
    parameters = dict(network.named_parameters()) | dict(network.named_buffers())
    logits = []
    for drug, target in zip(pairs.drug_index, pairs.target_index, strict=True):
        atoms = slice(*pairs.drugs.atom_offsets[drug : drug + 2])
        bonds = slice(*pairs.drugs.bond_offsets[drug : drug + 2])
        residues = slice(*pairs.targets.residue_offsets[target : target + 2])
        logits.append(
            reference_logit(
                parameters,
                config,
                torch.tensor(pairs.drugs.atoms[atoms], dtype=torch.float32),
                torch.tensor(pairs.drugs.bonds[bonds]),
                torch.tensor(pairs.targets.residues[residues], dtype=torch.int64),
            )
        )
    return torch.stack(logits)


def reference_logit(
    p: dict[str, Tensor], config: DrugBANConfig, atoms: Tensor, bonds: Tensor, tokens: Tensor
) -> Tensor:
    """Return the logit of one pair in eval mode.

    Args:
        p: the network's parameters and buffers by name.
        atoms: ``(atoms, ATOM_DIM)``.
        bonds: ``(bonds, 2)``.
        tokens: ``(residues,)``.
    """
    drug, target, attention = config.drug, config.target, config.interaction
    assert isinstance(drug, GraphConfig)
    assert isinstance(target, SequenceConfig)
    assert isinstance(attention, BanConfig)

    # Graph: h' = BN(ReLU((A + I) h W + b) + ReLU(h R + c))
    adjacency = torch.eye(len(atoms), dtype=atoms.dtype)
    for first, second in bonds.tolist():
        adjacency[first, second] += 1
        adjacency[second, first] += 1
    h = atoms @ p["drug_encoder.embedding.weight"].T
    for i in range(drug.layers):
        at = f"drug_encoder.layers.{i}"
        message = _linear(adjacency @ h, p, f"{at}.convolution").relu()
        h = _norm(message + _linear(h, p, f"{at}.residual").relu(), p, f"{at}.norm")

    # Sequence: BN(ReLU(conv(x))), zeros beyond both ends
    x = F.embedding(tokens, p["target_encoder.embedding.weight"])
    for i, kernel in enumerate(target.kernels):
        weight = p[f"target_encoder.convolutions.{i}.weight"][:, :, 0, :]
        padded = F.pad(x.T, (kernel // 2, kernel - 1 - kernel // 2))
        rows = []
        for position in range(len(tokens)):
            window = padded[:, position : position + kernel]
            rows.append((weight * window).sum((1, 2)))
        x = torch.stack(rows) + p[f"target_encoder.convolutions.{i}.bias"]
        x = _norm(x.relu(), p, f"target_encoder.norms.{i}")

    # Attention: per head h, A_h = (v ⊙ H_h) qᵀ + b_h and f_h,k = Σ_ij v_ik A_h,ij q_jk
    v = _weight_normed(h, p, "attention.drug_projection").relu()
    q = _weight_normed(x, p, "attention.target_projection").relu()
    heads = p["attention.head_weights"]
    heads = heads * p["attention.head_scale"] / heads.norm()
    joint = torch.zeros(v.shape[1], dtype=v.dtype)
    for head, bias in zip(heads, p["attention.head_bias"], strict=True):
        scores = torch.einsum("ik,k,jk->ij", v, head, q) + bias
        joint = joint + torch.einsum("ik,ij,jk->k", v, scores, q)
    joint = joint / (len(v) * len(q))
    groups = [
        joint[i * attention.pooling : (i + 1) * attention.pooling].sum()
        for i in range(attention.dim)
    ]
    out = _norm(torch.stack(groups)[None], p, "joint_norm")

    for i in range(3):
        out = _norm(_linear(out, p, f"classifier.linears.{i}").relu(), p, f"classifier.norms.{i}")
    logit: Tensor = _linear(out, p, "classifier.logit")[0, 0]
    return logit


def _linear(x: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def _weight_normed(x: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    scale = p[f"{name}.parametrizations.weight.original0"]
    direction = p[f"{name}.parametrizations.weight.original1"]
    weight: Tensor = direction * scale / direction.norm()
    return x @ weight.T + p[f"{name}.bias"]


def _norm(x: Tensor, p: dict[str, Tensor], name: str) -> Tensor:
    mean, variance = p[f"{name}.running_mean"], p[f"{name}.running_var"]
    return (x - mean) / (variance + 1e-5).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]
