"""Floating-point operations by formula: multiplications and additions of matrix products alone.

A product of ``(m, k)`` and ``(k, n)`` counts 2 m k n. What is left out (activations, batch
normalisation, gathers, dropout) is no more than a few operations per number and costs memory
traffic instead. The backward pass of a product is two products of its size, so a training step
counts three times its forward pass.

With a = atoms, r = residues, d = graph width, c = filters, k = kernels, K = rank:

- drugs: a (74 d + layers · 2 d² + d K)
- targets: r (Σ c_before c_after k + c_last K); ours reads one-hot residues in the first
  convolution, 26 channels for the embedding's width
- attention: explicit, 2 a r K per pair and head (map, then pooling); the published pooling is one
  more product, r K per pair and head; with heads merged there is one
- Gram form: a K² per drug and r K² per target, then K² per pair
- classifier: the sum of the products of its widths

Each times 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.dti.features.store import ATOM_DIM, RESIDUE_TOKENS, PairData
from tests.reference.sizes import NetworkSizes, Padding

BACKWARD_AND_FORWARD = 3
"""A training step's operations, in forward passes."""


@dataclass(frozen=True)
class PairCounts:
    """What a batch of pairs holds.

    Attributes:
        pairs: pairs.
        atoms, residues: of the unique drugs and targets.
        cells: the sum of atoms × residues over the pairs.
    """

    pairs: int
    atoms: int
    residues: int
    cells: int

    @classmethod
    def of(cls, data: PairData, rows: NDArray[np.int64]) -> PairCounts:
        """Count the pairs ``rows`` of ``data``."""
        drugs, targets = data.drug_index[rows], data.target_index[rows]
        atoms, residues = np.diff(data.drugs.atom_offsets), np.diff(data.targets.residue_offsets)
        return cls(
            pairs=len(rows),
            atoms=int(atoms[np.unique(drugs)].sum()),
            residues=int(residues[np.unique(targets)].sum()),
            cells=int((atoms[drugs] * residues[targets]).sum()),
        )

    @classmethod
    def padded(cls, pairs: int, padding: Padding) -> PairCounts:
        """Count ``pairs`` padded pairs, in which nothing is shared."""
        atoms, residues = pairs * padding.atoms, pairs * padding.residues
        return cls(pairs, atoms, residues, atoms * padding.residues)


def drug_flop(sizes: NetworkSizes, atoms: int) -> int:
    """Return the operations that encode and project ``atoms`` atoms."""
    dim = sizes.graph_dim
    return 2 * atoms * (ATOM_DIM * dim + sizes.graph_layers * 2 * dim * dim + dim * sizes.rank)


def target_flop(sizes: NetworkSizes, residues: int, *, one_hot: bool) -> int:
    """Return the operations that encode and project ``residues`` residues.

    Args:
        one_hot: the first convolution reads one-hot residues, not embedded ones.
    """
    widths = [
        (RESIDUE_TOKENS if one_hot and not layer else before) * after * kernel
        for layer, (before, after, kernel) in enumerate(sizes.convolutions)
    ]
    return 2 * residues * (sum(widths) + sizes.filters[-1] * sizes.rank)


def classifier_flop(sizes: NetworkSizes, pairs: int) -> int:
    """Return the operations of the classifier."""
    return 2 * pairs * sum(before * after for before, after in sizes.classifier)


def reference_flop(sizes: NetworkSizes, counts: PairCounts) -> int:
    """Return a forward pass of the padded per-pair form; ``counts`` are those of padded pairs."""
    return (
        drug_flop(sizes, counts.atoms)
        + target_flop(sizes, counts.residues, one_hot=False)
        + (4 * counts.cells + 2 * counts.residues) * sizes.rank * sizes.heads
        + classifier_flop(sizes, counts.pairs)
    )


def explicit_flop(sizes: NetworkSizes, counts: PairCounts) -> int:
    """Return a forward pass with merged heads: each drug and target once, one map per pair."""
    return (
        drug_flop(sizes, counts.atoms)
        + target_flop(sizes, counts.residues, one_hot=True)
        + 4 * counts.cells * sizes.rank
        + classifier_flop(sizes, counts.pairs)
    )


def gram_flop(sizes: NetworkSizes, counts: PairCounts) -> int:
    """Return a screen of every drug against every target by the Gram form."""
    square = sizes.rank * sizes.rank
    return (
        drug_flop(sizes, counts.atoms)
        + target_flop(sizes, counts.residues, one_hot=True)
        + 2 * square * (counts.atoms + counts.residues + counts.pairs)
        + classifier_flop(sizes, counts.pairs)
    )
