"""Divides pairs into train, validation and test, in one of seven ways.

=============  ====================================================================================
kind           what it promises
=============  ====================================================================================
random         every part has the same share of positives, as far as whole rows allow
cold_drug      no drug stands in two parts; targets do
cold_target    no target stands in two parts; drugs do
cold_pair      neither a drug nor a target stands in two parts
scaffold       no Bemis-Murcko scaffold stands in two parts; acyclic drugs are each their own
cluster        as ``cold_pair``, and across parts no drug is more similar to another than
               ``cluster_drug_similarity`` (Tanimoto, ECFP4) and no target than
               ``cluster_target_similarity`` (4-mers), by single-linkage clusters of both
published      each pair stands where its source puts it; if merged rows name several parts,
               ``test`` goes before ``val`` before ``train``
=============  ====================================================================================

Where a drug and its target fall to different parts (``cold_pair``, ``cluster``), or the source
names no part (``published``), the pair is ``unused``. The fractions are of the pairs that are used.
Of the test pairs, ``adapt_fraction`` become ``adapt``, drawn without a look at their labels: they
share drugs and targets with test alone.
All choices come from one seeded generator over pairs sorted by key, so the order of rows plays
no part. ``leakage.py`` checks the promises from the finished table, without this code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.chemistry.fingerprints import ECFP4_BITS, ECFP4_RADIUS, morgan_fingerprints
from stages.dti.config.split import SplitConfig
from stages.dti.data.splitting.assignment import balance, stratified
from stages.dti.data.splitting.clusters import drug_clusters, scaffold_groups, target_clusters
from stages.dti.errors import DataError

TRAIN, VAL, TEST, UNUSED, ADAPT = range(5)
PARTS = ("train", "val", "test")
PART_NAMES = np.array([*PARTS, "unused", "adapt"], dtype=object)

_MAX_TURNS = 10

_ADVICE = {
    "cluster": ", or smaller clusters by a higher split.cluster_drug_similarity and "
    "split.cluster_target_similarity",
    "published": "; a published split can only be taken as it is, so perhaps another kind",
    "random": "",
} | dict.fromkeys(
    ("cold_drug", "cold_target", "cold_pair", "scaffold"),
    ", or a kind that keeps fewer pairs together, such as split=random",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Pairs:
    """The pairs in the order of their keys, with drugs and targets as row numbers.

    Attributes:
        drug: int64 ``(pairs,)``, rows of ``drugs``.
        target: int64 ``(pairs,)``, rows of ``targets``.
        label: int8 ``(pairs,)`` of 0 and 1.
        published: object ``(pairs,)``: the source's parts joined by ``+``, or None.
        drugs: the drugs that stand in a pair, sorted by ``drug_key``.
        targets: the targets that stand in a pair, sorted by ``target_key``.
    """

    drug: NDArray[np.int64]
    target: NDArray[np.int64]
    label: NDArray[np.int8]
    published: NDArray[np.object_]
    drugs: pd.DataFrame
    targets: pd.DataFrame


def make_split(
    interactions: pd.DataFrame, drugs: pd.DataFrame, targets: pd.DataFrame, config: SplitConfig
) -> NDArray[np.object_]:
    """Return the part of each pair.

    Args:
        interactions: columns drug_key, target_key, label (0/1), published_split (str, several
            parts joined by ``+``, or None).
        drugs: columns drug_key, smiles; holds every drug of ``interactions``.
        targets: columns target_key, sequence; likewise.

    Returns:
        object ``(pairs,)`` of "train", "val", "test", "unused", "adapt", in the order of
        ``interactions``.

    Raises:
        DataError: the table cannot be divided this way: too few pairs, a part without pairs,
            of a single pair or of one class only, no published parts.
    """
    order = np.lexsort((interactions["target_key"], interactions["drug_key"]))
    ordered = interactions.iloc[order]
    if len(ordered) < 2 * len(PARTS):
        raise DataError(
            f"{len(ordered)} pairs cannot be divided into train, val and test, which need a pair "
            f"of each class, so {2 * len(PARTS)} in all: see data/interim/rejected.parquet for "
            "the rows that were refused"
        )
    pairs = _index(ordered, drugs, targets)
    parts = np.empty(len(order), dtype=np.int64)
    generator = np.random.default_rng(config.seed)
    divided = _KINDS[config.kind](pairs, config, generator)
    parts[order] = _set_aside(divided, config.adapt_fraction, generator)
    _check_usable(parts, interactions["label"].to_numpy(np.int8), config)
    return np.asarray(PART_NAMES[parts], dtype=object)


def _index(ordered: pd.DataFrame, drugs: pd.DataFrame, targets: pd.DataFrame) -> _Pairs:
    drug, drug_keys = pd.factorize(ordered["drug_key"], sort=True)
    target, target_keys = pd.factorize(ordered["target_key"], sort=True)
    published = ordered["published_split"].astype(object)
    return _Pairs(
        drug=drug.astype(np.int64),
        target=target.astype(np.int64),
        label=ordered["label"].to_numpy(np.int8),
        published=published.where(published.notna(), None).to_numpy(),
        drugs=_rows_of(drugs, "drug_key", drug_keys),
        targets=_rows_of(targets, "target_key", target_keys),
    )


def _rows_of(table: pd.DataFrame, key: str, wanted: pd.Index) -> pd.DataFrame:
    rows = pd.Index(table[key]).get_indexer(wanted)
    if (rows < 0).any():
        raise DataError(
            f"{int((rows < 0).sum())} {key}s of the interactions, such as "
            f"{wanted[rows < 0][0]}, have no row in their table; run `dvc repro prepare`"
        )
    return table.take(rows)


def _fractions(config: SplitConfig) -> tuple[float, float, float]:
    return config.train_fraction, config.val_fraction, config.test_fraction


def _random(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> NDArray[np.int64]:
    return stratified(pairs.label, _fractions(config), generator)


def _cold_drug(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> NDArray[np.int64]:
    return _by_group(pairs.drug, pairs.label, _fractions(config), generator)


def _cold_target(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> NDArray[np.int64]:
    return _by_group(pairs.target, pairs.label, _fractions(config), generator)


def _scaffold(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> NDArray[np.int64]:
    groups = scaffold_groups(pairs.drugs["smiles"].tolist())
    return _by_group(groups[pairs.drug], pairs.label, _fractions(config), generator)


def _cold_pair(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> NDArray[np.int64]:
    return _by_two_groups(pairs.drug, pairs.target, pairs.label, _fractions(config), generator)


def _cluster(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> NDArray[np.int64]:
    smiles = pairs.drugs["smiles"].tolist()
    fingerprints = morgan_fingerprints(smiles, ECFP4_RADIUS, ECFP4_BITS)
    drug = drug_clusters(fingerprints, config.cluster_drug_similarity)
    sequences = pairs.targets["sequence"].tolist()
    target = target_clusters(sequences, config.cluster_target_similarity)
    return _by_two_groups(
        drug[pairs.drug], target[pairs.target], pairs.label, _fractions(config), generator
    )


def _published(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> NDArray[np.int64]:
    parts = np.full(len(pairs.label), UNUSED)
    named = pd.Series(pairs.published, dtype=object).str.split("+")
    for part, name in enumerate(PARTS):  # a pair that train repeats belongs to val or test alone
        parts[named.map(lambda names, name=name: isinstance(names, list) and name in names)] = part
    for part in (TRAIN, TEST):
        if not (parts == part).any():
            raise DataError(
                f"split published: the sources put no pair into {PARTS[part]}; name the column "
                "that does in dataset.sources.<source>.columns.split, or choose another kind, "
                "such as split=random"
            )
    train = np.flatnonzero(parts == TRAIN)
    if not (parts == VAL).any() and len(train) >= 2:
        kept = config.train_fraction / (config.train_fraction + config.val_fraction)
        parts[train] = stratified(pairs.label[train], (kept, 1 - kept), generator)
        logger.info("the sources name no validation part: carved from train at random")
    return parts


_KINDS: dict[str, Callable[[_Pairs, SplitConfig, np.random.Generator], NDArray[np.int64]]] = {
    "random": _random,
    "cold_drug": _cold_drug,
    "cold_target": _cold_target,
    "cold_pair": _cold_pair,
    "scaffold": _scaffold,
    "cluster": _cluster,
    "published": _published,
}


def _set_aside(
    parts: NDArray[np.int64], adapt_fraction: float, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return the parts with a random share of the test pairs in ``ADAPT``."""
    test = np.flatnonzero(parts == TEST)
    adapt = generator.permutation(test)[: round(len(test) * adapt_fraction)]
    parts = parts.copy()
    parts[adapt] = ADAPT
    return parts


def _by_group(
    group: NDArray[np.int64],
    label: NDArray[np.int8],
    fractions: Sequence[float],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the part of each pair, whole groups in one part."""
    _, group = np.unique(group, return_inverse=True)
    return _part_of_groups(group, label, fractions, generator)[group]


def _part_of_groups(
    group: NDArray[np.int64],
    label: NDArray[np.int8],
    fractions: Sequence[float],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the part of each group 0, 1, … in ``group``, so that pairs come near the fractions."""
    same_wherever = np.repeat(_counts(group, np.zeros_like(group), label, 1), len(PARTS), axis=1)
    wanted = np.outer(fractions, np.bincount(label, minlength=2))
    return balance(same_wherever, wanted, generator)


def _by_two_groups(
    drug_group: NDArray[np.int64],
    target_group: NDArray[np.int64],
    label: NDArray[np.int8],
    fractions: Sequence[float],
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the part of each pair; unused where the part of its drug is not that of its target.

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
        counts = _counts(drug_group, target_part[target_group], label, len(PARTS))
        drug_part = balance(counts, wanted, generator, start=drug_part)
        counts = _counts(target_group, drug_part[drug_group], label, len(PARTS))
        target_part = balance(counts, wanted, generator, start=target_part)
        if np.array_equal(before, np.concatenate([drug_part, target_part])):
            break
    parts = drug_part[drug_group]
    return np.where(parts == target_part[target_group], parts, UNUSED)


def _counts(
    group: NDArray[np.int64], other: NDArray[np.int64], label: NDArray[np.int8], others: int
) -> NDArray[np.int64]:
    """Count rows, int64 ``(groups, others, 2)``: by group, by ``other``, by label."""
    groups = int(group.max()) + 1
    cell = (group * others + other) * 2 + label
    return np.bincount(cell, minlength=groups * others * 2).reshape(groups, others, 2)


def _check_usable(parts: NDArray[np.int64], label: NDArray[np.int8], config: SplitConfig) -> None:
    for part, name in enumerate(PARTS):
        inside = label[parts == part]
        positives = int((inside == 1).sum())
        if positives in (0, len(inside)):
            raise DataError(
                f"split {config.kind} (seed {config.seed}): {name} has {positives} positives and "
                f"{len(inside) - positives} negatives, and needs both; of all "
                f"{int((label == 1).sum())} positives and {int((label == 0).sum())} negatives. "
                "Use another split.seed, larger split.val_fraction and split.test_fraction, more "
                f"data{_ADVICE[config.kind]}"
            )
