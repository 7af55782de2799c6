"""Groups of drugs and of targets that a split keeps together: similarity clusters, scaffolds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stages.dti.chemistry.fingerprints import tanimoto
from stages.dti.chemistry.kmers import SequenceReference
from stages.dti.chemistry.scaffolds import murcko_scaffold

_ROWS = 256
"""Rows compared with all others at once; bounds the memory at ``_ROWS * n`` similarities."""


def drug_clusters(fingerprints: NDArray[np.uint8], threshold: float) -> NDArray[np.int64]:
    """Return single-linkage clusters of drugs: two of Tanimoto above ``threshold`` share one.

    Hence no two drugs of different clusters are more similar than ``threshold``. Time grows with
    the square of the number of drugs (5,000 take a second).

    Args:
        fingerprints: uint8 ``(n, bytes)``, packed bits.

    Returns:
        int64 ``(n,)``; each cluster is named by the position of its first member.
    """
    clusters = np.arange(len(fingerprints))
    for start in range(0, len(fingerprints), _ROWS):
        block = tanimoto(fingerprints[start : start + _ROWS], fingerprints)
        clusters = _join(clusters, block > np.float32(threshold), start)
    return clusters


def target_clusters(sequences: Sequence[str], threshold: float) -> NDArray[np.int64]:
    """Return single-linkage clusters of targets: two of similarity above ``threshold`` share one.

    The similarity is that of ``SequenceReference``: shared 4-mers.

    Returns:
        int64 ``(n,)``; each cluster is named by the position of its first member.
    """
    clusters = np.arange(len(sequences))
    reference = SequenceReference.fit(sequences)
    for start in range(0, len(sequences), _ROWS):
        rows = [reference.similarities(query) for query in sequences[start : start + _ROWS]]
        clusters = _join(clusters, np.stack(rows) > np.float32(threshold), start)
    return clusters


def scaffold_groups(smiles: Sequence[str]) -> NDArray[np.int64]:
    """Return groups of drugs that share a Bemis-Murcko scaffold.

    A molecule without a ring has no scaffold to share, so it is a group of its own; one group of
    all acyclic molecules would tie together drugs that have nothing else in common.

    Returns:
        int64 ``(n,)``; each group is named by the position of its first member.
    """
    first: dict[str, int] = {}
    groups = np.arange(len(smiles))
    for position, text in enumerate(smiles):
        scaffold = murcko_scaffold(text)
        if scaffold:
            groups[position] = first.setdefault(scaffold, position)
    return groups


def _join(clusters: NDArray[np.int64], linked: NDArray[np.bool_], start: int) -> NDArray[np.int64]:
    """Join the clusters of every linked pair.

    Args:
        linked: bool ``(rows, n)``: whether member ``start + row`` and member ``column`` are linked.
    """
    size = len(clusters)
    rows, columns = np.nonzero(linked)
    tails = np.concatenate([rows + start, np.arange(size)])
    heads = np.concatenate([columns, clusters])
    graph = coo_array((np.ones(len(tails), dtype=bool), (tails, heads)), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    _, first_member = np.unique(component, return_index=True)
    return np.asarray(first_member[component], dtype=np.int64)
