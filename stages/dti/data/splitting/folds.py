"""Divides train further: any fold could be the validation part under the claim of the split.

The validation part is fold 0. Train is shared out among the other folds as the parts were: the same
groups stay together, the classes are balanced alike. Which fold validates then decides which pairs
are train, in ``choose_parts``; the test part is the same whichever it is.

Where both the drug and the target decide (``cold_pair``, ``cluster``), each of them has a fold.
Pairs whose drug and target are of one fold can validate; those between two folds stand in none,
and are train as long as neither of the two validates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.dti.data.splitting.assignment import by_group, by_two_groups, stratified

TRAIN, VAL, TEST, UNUSED, ADAPT = range(5)

NO_FOLD = -1


@dataclass(frozen=True)
class Side:
    """One thing that decides about the part of a pair: its drug, its target, or the pair itself.

    Attributes:
        part: int64 ``(pairs,)``: TRAIN, VAL, TEST or UNUSED.
        group: int64 ``(pairs,)``: what stays together; ``None``: each pair is for itself.
    """

    part: NDArray[np.int64]
    group: NDArray[np.int64] | None = None


def agreed(sides: Sequence[Side]) -> NDArray[np.int64]:
    """Return the part of each pair: the one that its sides agree on, else UNUSED."""
    parts = sides[0].part
    for side in sides[1:]:
        parts = np.where(parts == side.part, parts, UNUSED)
    return parts


def folds_of_sides(
    sides: Sequence[Side], label: NDArray[np.int8], folds: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return the fold of each side of each pair.

    Args:
        sides: one, or two with groups.
        folds: how many, with that of validation; fewer where train holds fewer groups.

    Returns:
        int64 ``(sides, pairs)``: 0 where the side is in validation, 1, 2, … in train, NO_FOLD
        elsewhere.
    """
    train = np.flatnonzero(agreed(sides) == TRAIN)
    named = [np.arange(len(label)) if side.group is None else side.group for side in sides]
    others = min(folds - 1, *(len(np.unique(group[train])) for group in named))
    equal = [1 / others] * others
    found: Sequence[NDArray[np.int64]]
    if len(sides) == 2:
        found = by_two_groups(named[0][train], named[1][train], label[train], equal, generator)
    elif sides[0].group is None:
        found = (stratified(label[train], equal, generator),)
    else:
        found = (by_group(named[0][train], label[train], equal, generator),)
    result = np.full((len(sides), len(label)), NO_FOLD)
    for row, side, group, of_train in zip(result, sides, named, found, strict=True):
        # A group whose train pairs are all unused is balanced with nothing: it goes to fold 1.
        of_group = np.zeros(int(group.max()) + 1, dtype=np.int64)
        of_group[group[train]] = of_train
        row[side.part == TRAIN] = 1 + of_group[group[side.part == TRAIN]]
        row[side.part == VAL] = 0
    return result


def common_fold(folds: NDArray[np.int64]) -> NDArray[np.int8]:
    """Return the fold of each pair, int8 ``(pairs,)``: NO_FOLD where its sides disagree.

    Args:
        folds: as ``folds_of_sides`` returns them.
    """
    return np.where((folds == folds[0]).all(axis=0), folds[0], NO_FOLD).astype(np.int8)


def choose_parts(
    parts: NDArray[np.int64], folds: NDArray[np.int64], validation_fold: int
) -> NDArray[np.int64]:
    """Return the part of each pair if ``validation_fold`` validates; ``parts`` if it is fold 0.

    Args:
        parts: int64 ``(pairs,)`` with fold 0 as validation; TEST and ADAPT stay.
        folds: as ``folds_of_sides`` returns them.
    """
    chosen = np.where(np.isin(parts, (TEST, ADAPT)), parts, UNUSED)
    chosen[((folds != NO_FOLD) & (folds != validation_fold)).all(axis=0)] = TRAIN
    chosen[(folds == validation_fold).all(axis=0)] = VAL
    return chosen
