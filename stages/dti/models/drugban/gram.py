"""All drugs against all targets, by the Gram form of bilinear attention.

The heads merged, f_k = Σ_m H̄_m V_km Q_km + b̄ v̄_k q̄_k with one Gram matrix per drug,
V = vᵀv / atoms, one per target, Q = qᵀq / residues, and v̄, q̄ the means of their rows. A pair then
costs no attention map: the pooled f of all pairs is one matrix product per output feature, between
what depends on the drug alone and what depends on the target alone.

Memory: the Gram matrices are a network's rank squared (2.4 MB in float32 with 768), so they are
made for a block of targets and a chunk of drugs at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.dti.features.store import DrugFeatures, Scalers, TargetFeatures
from stages.dti.models.base import Precision
from stages.dti.models.drugban.attention import BilinearAttention, MergedAttention
from stages.dti.models.drugban.batch import round_up
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.models.drugban.ops import batched_product, product

TARGET_BLOCK_BYTES = 2**30
"""Of Gram matrices of targets that are kept while all drugs pass by."""

DRUG_CHUNK = 128
"""Drugs whose Gram matrices exist at a time."""

ENCODE_ROWS = 16384
"""Atoms or positions that are encoded at a time."""

CLASSIFY_PAIRS = 2048
"""Pairs that go through the classifier at a time, so that they stay in the processor's cache."""

ALIGNMENT = 16
"""The products' inner length is a multiple of this."""


def scores_by_gram(
    network: DrugBANNetwork,
    drugs: DrugFeatures,
    targets: TargetFeatures,
    scalers: Scalers,
    precision: Precision,
) -> NDArray[np.float32]:
    """Return the scores of all pairs, float32 ``(drugs, targets)``; the interaction is attention.

    In float32 equal to ``DrugBAN.score`` but for rounding (about 1e-6); in bf16 to about 3e-3.

    Memory beside the result, however many drugs and targets there are: ``TARGET_BLOCK_BYTES`` and
    about 0.5 GB, of it ``DRUG_CHUNK`` Gram matrices and about ``ENCODE_ROWS`` rows of v.
    """
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    scores = np.empty((len(drugs), len(targets)), dtype=np.float32)
    attention = network.attention
    with torch.inference_mode():
        classifier = _folded_classifier(network, kind)
        merged = attention.joiner()
        # Made once: to hand such memory back and ask for it again costs more than to fill it.
        inner = _inner_length(attention)
        block_size = min(len(targets), _targets_per_block(attention, kind))
        block = torch.zeros(attention.dim, block_size, inner, dtype=kind)
        chunk = torch.zeros(attention.dim, min(len(drugs), DRUG_CHUNK), inner, dtype=kind)
        # Neighbours in length share shapes of products.
        order = np.argsort(network.target_encoder.sizes(targets), kind="stable")
        for first in range(0, len(targets), block_size):
            rows = order[first : first + block_size]
            _fill_targets(block, network, merged, targets, rows, scalers)
            # Encoded anew for each block, which costs little beside what the block does with them.
            atoms = _encoded_drugs(network, merged, drugs, scalers, kind)
            for start in range(0, len(drugs), DRUG_CHUNK):
                here = list(islice(atoms, DRUG_CHUNK))
                _fill_drugs(chunk, merged, here)
                pooled = batched_product(block[:, : len(rows)], chunk[:, : len(here)])
                logits = _classify(pooled.flatten(1), classifier)
                scores[start : start + len(here), rows] = (
                    torch.sigmoid(logits).view(len(rows), len(here)).t().numpy()
                )
    return scores


def _targets_per_block(attention: BilinearAttention, kind: torch.dtype) -> int:
    bytes_per_target = attention.dim * _inner_length(attention) * kind.itemsize
    return max(1, TARGET_BLOCK_BYTES // bytes_per_target)


def _inner_length(attention: BilinearAttention) -> int:
    """Per output feature: its rows of a Gram matrix, its entries of the mean, and padding."""
    rank = attention.dim * attention.pooling
    length = attention.pooling * (rank + 1)
    return round_up(length, ALIGNMENT)


def _encoded_drugs(
    network: DrugBANNetwork,
    merged: MergedAttention,
    drugs: DrugFeatures,
    scalers: Scalers,
    kind: torch.dtype,
) -> Iterator[Tensor]:
    """Yield v ``(atoms, K)`` of each drug; about ``ENCODE_ROWS`` atoms exist at a time."""
    weight, bias = merged.drug_weight.to(kind), merged.drug_bias.to(kind)
    for rows in row_groups(network.drug_encoder.sizes(drugs)):
        batch = network.drug_encoder.collect(drugs, rows, scalers)
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
            encoded = network.drug_encoder(batch)
        v = product(encoded.to(kind), weight, bias).relu_()
        yield from torch.split(v[: batch.starts[-1]], np.diff(batch.starts).tolist())


def _fill_targets(
    block: Tensor,
    network: DrugBANNetwork,
    merged: MergedAttention,
    targets: TargetFeatures,
    rows: NDArray[np.int64],
    scalers: Scalers,
) -> None:
    """Write the Gram matrix and mean of each target into ``(dim, targets, inner length)``."""
    kind = block.dtype
    weight, bias = merged.target_weight.to(kind), merged.target_bias.to(kind)
    done = 0
    for group in row_groups(network.target_encoder.sizes(targets)[rows]):
        batch = network.target_encoder.collect(targets, rows[group], scalers)
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
            encoded = network.target_encoder(batch)
        q = product(encoded.to(kind), weight, bias).relu_()
        q.index_fill_(0, batch.gaps, 0)
        for start, end, limit in zip(batch.starts, batch.ends, batch.limits, strict=True):
            here = q[start:limit]
            scaled = (here / int(end - start)).t()
            _fill(block[:, done], product(here.t(), scaled), scaled.sum(1, dtype=torch.float32))
            done += 1


def _fill_drugs(chunk: Tensor, merged: MergedAttention, drugs: list[Tensor]) -> None:
    """Write the Gram matrix, weighted by H̄, and mean, weighted by b̄, of each drug."""
    heads = merged.heads.to(chunk.dtype)
    for number, v in enumerate(drugs):
        scaled = v / len(v)
        _fill(
            chunk[:, number],
            scaled.t() @ (v * heads),
            merged.head_bias * scaled.sum(0, dtype=torch.float32),
        )


def _fill(place: Tensor, gram: Tensor, mean: Tensor) -> None:
    """Write ``(K, K)`` and ``(K,)`` into ``(dim, inner length)``: per output feature its rows."""
    dim, width = len(place), gram.numel() // len(place)
    pooling = len(mean) // dim
    place[:, :width] = gram.view(dim, width)
    place[:, width : width + pooling] = mean.view(dim, pooling)


def _folded_classifier(network: DrugBANNetwork, kind: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Return weights and biases with each batch norm folded into the linear layer after it."""
    layers = []
    norms = [network.joint_norm, *network.classifier.norms]
    for norm, linear in zip(
        norms, [*network.classifier.linears, network.classifier.logit], strict=True
    ):
        scale, shift = norm.scale_and_shift()
        layers.append((linear.weight * scale, linear.bias + linear.weight @ shift))
    *hidden, logit = layers
    return [(weight.to(kind), bias.to(kind)) for weight, bias in hidden] + [logit]


def _classify(pooled: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Map the pooled f ``(dim, pairs)`` to logits ``(pairs,)``."""
    *hidden, (weight, bias) = layers
    logits = torch.empty(pooled.shape[1])
    for start in range(0, pooled.shape[1], CLASSIFY_PAIRS):
        values = pooled[:, start : start + CLASSIFY_PAIRS].t()
        for hidden_weight, hidden_bias in hidden:
            values = product(values, hidden_weight, hidden_bias).relu_()
        logits[start : start + CLASSIFY_PAIRS] = (values.float() @ weight.t() + bias).squeeze(1)
    return logits


def row_groups(sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield consecutive rows whose sizes add up to about ``ENCODE_ROWS``."""
    numbers = np.cumsum(sizes) // ENCODE_ROWS
    yield from np.split(np.arange(len(sizes)), np.flatnonzero(np.diff(numbers)) + 1)
