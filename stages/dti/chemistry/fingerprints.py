"""Morgan fingerprints of drugs, and how alike two drugs are: Tanimoto on packed bits.

Used by the splits, by the leakage report and at serving time. Every similarity is a ratio of
counts, so it is the same to the last bit on every machine and whatever other queries stand beside
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem.rdFingerprintGenerator import FingerprintGenerator64, GetMorganGenerator

from stages.dti.chemistry.molecules import read_molecule

ECFP4_RADIUS = 2
ECFP4_BITS = 2048
"""The fingerprint that splits and leakage are judged by, whatever the models use."""


_BLOCK_VALUES = 1 << 20
"""Similarities held at once: working memory stays below about 20 MB."""


def morgan_fingerprints(smiles: Sequence[str], radius: int, bits: int) -> NDArray[np.uint8]:
    """Return Morgan (ECFP) fingerprints, packed by ``numpy.packbits``: uint8 ``(n, bits / 8)``.

    Raises:
        InvalidInputError: RDKit cannot read one of ``smiles``.
    """
    generator = GetMorganGenerator(radius=radius, fpSize=bits)
    packed = np.zeros((len(smiles), bits // 8), dtype=np.uint8)
    with rdBase.BlockLogs():
        for row, text in enumerate(smiles):
            packed[row] = packed_fingerprint(read_molecule(text), generator)
    return packed


def packed_fingerprint(molecule: Chem.Mol, generator: FingerprintGenerator64) -> NDArray[np.uint8]:
    """Return a molecule's fingerprint, packed by ``numpy.packbits``: uint8 ``(bits / 8,)``."""
    return np.packbits(generator.GetFingerprintAsNumPy(molecule))


def tanimoto(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the Tanimoto similarity of every row of ``a`` with every row of ``b``.

    Args:
        a: uint8 ``(n, bytes)``, bits packed by ``numpy.packbits``.
        b: uint8 ``(m, bytes)``.

    Returns:
        float32 ``(n, m)``; 0 for two empty fingerprints, as RDKit has it.
    """
    result = np.empty((len(a), len(b)), dtype=np.float32)
    for start, block in _tanimoto_blocks(a, b):
        result[start : start + len(block)] = block
    return result


def nearest_tanimoto(
    queries: NDArray[np.uint8], references: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return each query's highest Tanimoto similarity to any reference.

    Args:
        queries: uint8 ``(n, bytes)``, packed bits.
        references: uint8 ``(m, bytes)``; may be empty.

    Returns:
        float32 ``(n,)``; 0 where there is no reference.
    """
    nearest = np.zeros(len(queries), dtype=np.float32)
    for start, block in _tanimoto_blocks(queries, references):
        nearest[start : start + len(block)] = block.max(axis=1, initial=0.0)
    return nearest


def _tanimoto_blocks(
    a: NDArray[np.uint8], b: NDArray[np.uint8]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (first row, similarities ``(rows, m)``) for consecutive rows of ``a``."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"fingerprints of different shapes: {a.shape} and {b.shape}")
    a_words, b_words = _words(a), _words(b)
    a_bits = np.bitwise_count(a_words).sum(axis=1, dtype=np.int32)
    b_bits = np.bitwise_count(b_words).sum(axis=1, dtype=np.int32)
    columns = np.ascontiguousarray(b_words.T)
    rows = max(1, _BLOCK_VALUES // max(1, len(b)))
    for start in range(0, len(a), rows):
        block = a_words[start : start + rows]
        shared = np.zeros((len(block), len(b)), dtype=np.int32)
        for word, column in enumerate(columns):
            shared += np.bitwise_count(block[:, word, None] & column)
        union = a_bits[start : start + rows, None] + b_bits - shared
        yield start, shared.astype(np.float32) / np.maximum(union, 1).astype(np.float32)


def _words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """View packed bits as 64-bit words ``(n, words)``, padded with zeros to whole words."""
    missing = -packed.shape[1] % 8
    padded = np.pad(packed, ((0, 0), (0, missing))) if missing else packed
    return np.ascontiguousarray(padded, dtype=np.uint8).view(np.uint64)
