"""Sharing rows or groups of rows out among parts: sizes, stratification, balance.

A part is a number from 0 here; what it stands for is the caller's affair. Labels are 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.05
"""Rows of a class in a part may be off by this share; nearer would favour groups by their size."""

_MAX_ROUNDS = 20

_MAX_TURNS = 10


def part_sizes(rows: int, fractions: Sequence[float]) -> NDArray[np.int64]:
    """Return how many of ``rows`` each part gets, int64 ``(parts,)``; the first takes the rest.

    Every other part gets its share, rounded half up, and at least two rows (one of each class), or
    one where there are not two for each part: 6 rows at 80/10/10 give 2, 2, 2.

    Raises:
        ValueError: fewer rows than parts.
    """
    if rows < len(fractions):
        raise ValueError(f"{rows} rows cannot fill {len(fractions)} parts")
    least = 2 if rows >= 2 * len(fractions) else 1
    sizes = np.maximum(np.floor(rows * np.asarray(fractions) + 0.5), least).astype(np.int64)
    sizes[0] = rows - sizes[1:].sum()
    while sizes[0] < least:
        largest = sizes.argmax()
        sizes[largest] -= 1
        sizes[0] += 1
    return sizes


def positives_per_part(positives: int, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many positives each part of ``sizes`` gets, int64 ``(parts,)``.

    Proportional by largest remainder. Where rounding would leave a part of two or more rows with
    one class only, it is given one row of the other class as long as a part can spare one; the
    earlier part first.
    """
    ideal = positives * sizes / sizes.sum()
    share: NDArray[np.int64] = np.floor(ideal).astype(np.int64)
    by_remainder = np.argsort(-(ideal - share), kind="stable")
    share[by_remainder[: positives - share.sum()]] += 1
    for part in np.flatnonzero(sizes >= 2):
        richest = share.argmax()
        if share[part] == 0 and share[richest] >= 2:
            share[part], share[richest] = 1, share[richest] - 1
        negatives = sizes - share
        richest = negatives.argmax()
        if negatives[part] == 0 and negatives[richest] >= 2:
            share[part], share[richest] = share[part] - 1, share[richest] + 1
    return share


def stratified(
    labels: NDArray[np.int8], fractions: Sequence[float], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Share rows out at random so that every part has nearly the same share of positives.

    Returns:
        The part of each row, int64 ``(rows,)``.

    Raises:
        ValueError: fewer rows than parts.
    """
    sizes = part_sizes(len(labels), fractions)
    positives = positives_per_part(int((labels == 1).sum()), sizes)
    parts = np.zeros(len(labels), dtype=np.int64)
    for label, counts in ((1, positives), (0, sizes - positives)):
        rows = generator.permutation(np.flatnonzero(labels == label))
        parts[rows] = np.repeat(np.arange(len(sizes)), counts)
    return parts


def balance(
    contributions: NDArray[np.int64],
    wanted: NDArray[np.float64],
    generator: np.random.Generator,
    start: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Share groups out among parts so that the rows of each class come near what is wanted.

    Groups in random order go where, for their classes, the largest share is still missing, of
    the parts that they fit into; whatever their size, so that small groups don't gather in the
    small parts. Then single groups are moved, in random order, until the rows of every part and
    class are within ``TOLERANCE`` (or one row) of what is wanted, or no move brings them nearer:
    the distance is the sum over parts and classes of ``(rows - wanted)² / wanted``. A part
    without one of the classes counts as farther than any distance, so it gets one wherever moving
    single groups can achieve that.

    Args:
        contributions: int64 ``(groups, parts, 2)``: rows of class 0 and 1 that the group adds to
            a part if it goes there.
        wanted: float64 ``(parts, 2)``: rows of each class wanted in each part.
        start: int64 ``(groups,)``: parts to improve on, instead of sharing out from nothing.

    Returns:
        The part of each group, int64 ``(groups,)``.
    """
    # Below one row the distance would hold a part's only positive to be one too many.
    wanted = np.maximum(wanted, 1.0)
    totals = np.zeros(wanted.shape, dtype=np.int64)
    if start is None:
        parts = np.zeros(len(contributions), dtype=np.int64)
        for group in generator.permutation(len(contributions)):
            part = _neediest(totals, wanted, contributions[group])
            parts[group] = part
            totals[part] += contributions[group, part]
    else:
        parts = start.copy()
        for group, place in enumerate(parts):
            totals[place] += contributions[group, place]

    penalty = 2.0 * (contributions.sum() + wanted.sum()) ** 2
    for _ in range(_MAX_ROUNDS):
        moved = False
        for group in generator.permutation(len(contributions)):
            if _near(totals, wanted):
                return parts
            here = int(parts[group])
            totals[here] -= contributions[group, here]
            filled = (totals == 0) & (contributions[group] > 0)
            cost = _growth(totals, wanted, contributions[group]) - penalty * filled.sum(axis=1)
            part = int(cost.argmin())
            if cost[part] < cost[here] - 1e-9:
                parts[group], moved = part, True
            else:
                part = here
            totals[part] += contributions[group, part]
        if not moved:
            break
    return parts


def by_group(
    group: NDArray[np.int64],
    label: NDArray[np.int8],
    fractions: Sequence[float],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the part of each pair, whole groups in one part."""
    _, group = np.unique(group, return_inverse=True)
    return _part_of_groups(group, label, fractions, generator)[group]


def by_two_groups(
    drug_group: NDArray[np.int64],
    target_group: NDArray[np.int64],
    label: NDArray[np.int8],
    fractions: Sequence[float],
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the part of each pair's drug and that of its target; the pair counts if they agree.

    If a share ``s`` of drugs and of targets falls to a part, so does about ``s²`` of the pairs;
    hence drugs and targets are divided in proportion to the square roots of the fractions.
    Then drugs are moved for the targets' sake, and the other way round, until the pairs that are
    used stand in the fractions asked for.
    """
    _, drug_group = np.unique(drug_group, return_inverse=True)
    _, target_group = np.unique(target_group, return_inverse=True)
    shares = np.sqrt(fractions) / np.sqrt(fractions).sum()
    drug_part = _part_of_groups(drug_group, label, shares.tolist(), generator)
    target_part = _part_of_groups(target_group, label, shares.tolist(), generator)
    wanted = np.outer(fractions, np.bincount(label, minlength=2)) * (shares**2).sum()
    for _ in range(_MAX_TURNS):
        before = np.concatenate([drug_part, target_part])
        counts = _counts(drug_group, target_part[target_group], label, len(fractions))
        drug_part = balance(counts, wanted, generator, start=drug_part)
        counts = _counts(target_group, drug_part[drug_group], label, len(fractions))
        target_part = balance(counts, wanted, generator, start=target_part)
        if np.array_equal(before, np.concatenate([drug_part, target_part])):
            break
    return drug_part[drug_group], target_part[target_group]


def _part_of_groups(
    group: NDArray[np.int64],
    label: NDArray[np.int8],
    fractions: Sequence[float],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the part of each group 0, 1, … in ``group``, so that pairs come near the fractions."""
    same_wherever = np.repeat(
        _counts(group, np.zeros_like(group), label, 1), len(fractions), axis=1
    )
    wanted = np.outer(fractions, np.bincount(label, minlength=2))
    return balance(same_wherever, wanted, generator)


def _counts(
    group: NDArray[np.int64], other: NDArray[np.int64], label: NDArray[np.int8], others: int
) -> NDArray[np.int64]:
    """Count rows, int64 ``(groups, others, 2)``: by group, by ``other``, by label."""
    groups = int(group.max()) + 1
    cell = (group * others + other) * 2 + label
    return np.bincount(cell, minlength=groups * others * 2).reshape(groups, others, 2)


def _neediest(
    totals: NDArray[np.int64], wanted: NDArray[np.float64], group: NDArray[np.int64]
) -> int:
    """Return the part that lacks most of the group's classes, of those that it fits into.

    A group that fits nowhere goes where it adds least to the distance.
    """
    room = (wanted - totals).sum(axis=1)
    fits = group.sum(axis=1) <= room
    if not fits.any():
        return int(_growth(totals, wanted, group).argmin())
    need = (group * (1 - totals / wanted)).sum(axis=1)
    return int(np.where(fits, need, -np.inf).argmax())


def _growth(
    totals: NDArray[np.int64], wanted: NDArray[np.float64], group: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return how much the distance grows if the group goes to each part, float64 ``(parts,)``."""
    after = (totals + group - wanted) ** 2
    return np.asarray(((after - (totals - wanted) ** 2) / wanted).sum(axis=1))


def _near(totals: NDArray[np.int64], wanted: NDArray[np.float64]) -> bool:
    allowed = np.maximum(TOLERANCE * wanted, 1.0)
    return bool((totals > 0).all() and (np.abs(totals - wanted) <= allowed).all())
