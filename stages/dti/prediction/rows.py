"""Single drugs and targets taken out of a table of features, and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from stages.dti.features.store import Features

_OFFSETS = {
    "atoms": "atom_offsets",
    "bonds": "bond_offsets",
    "residues": "residue_offsets",
    "embeddings": "embedding_offsets",
}
"""Ragged array → where its rows begin and end; every other array has one row each."""


def one_row(features: Features, row: int) -> Features:
    """Return a copy of the features of one drug or target, which keeps no other's alive."""
    parts: dict[str, Any] = {}
    for field in fields(features):
        values = getattr(features, field.name)
        if field.name in _OFFSETS:
            offsets = getattr(features, _OFFSETS[field.name])
            values = values[offsets[row] : offsets[row + 1]]
        elif field.name in _OFFSETS.values():
            values = values[row : row + 2] - values[row]
        else:
            values = values[row : row + 1]
        parts[field.name] = np.array(values)
    return type(features)(**parts)


def join(several: Sequence[Features]) -> Features:
    """Return one table of at least one others' rows, in order."""
    parts: dict[str, Any] = {}
    for field in fields(several[0]):
        arrays = [getattr(features, field.name) for features in several]
        if field.name in _OFFSETS.values():
            lengths = np.concatenate([np.diff(offsets) for offsets in arrays])
            parts[field.name] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        else:
            parts[field.name] = np.concatenate(arrays)
    return type(several[0])(**parts)
