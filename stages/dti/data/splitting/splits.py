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
Train and validation are divided into folds of about the same size (``folds.py``), each of which
can be the validation part: ``validation_fold`` chooses. A published split names no folds: fold 0
is its validation part, and the others are drawn from its train part at random.
All choices come from one seeded generator over pairs sorted by key, so the order of rows plays
no part. ``leakage.py`` checks the promises from the finished table, without this code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.chemistry.fingerprints import ECFP4_BITS, ECFP4_RADIUS, morgan_fingerprints
from stages.dti.config.split import SplitConfig, fold_count
from stages.dti.data.splitting.assignment import by_group, by_two_groups, stratified
from stages.dti.data.splitting.clusters import drug_clusters, scaffold_groups, target_clusters
from stages.dti.data.splitting.folds import (
    ADAPT,
    TEST,
    TRAIN,
    UNUSED,
    VAL,
    Side,
    agreed,
    choose_parts,
    common_fold,
    folds_of_sides,
)
from stages.dti.errors import DataError

PARTS = ("train", "val", "test")
PART_NAMES = np.array([*PARTS, "unused", "adapt"], dtype=object)

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
) -> pd.DataFrame:
    """Return the part and the fold of each pair.

    Args:
        interactions: columns drug_key, target_key, label (0/1), published_split (str, several
            parts joined by ``+``, or None).
        drugs: columns drug_key, smiles; holds every drug of ``interactions``.
        targets: columns target_key, sequence; likewise.

    Returns:
        ``split`` (object: "train", "val", "test", "unused", "adapt") and ``fold`` (int8, from 0;
        -1: none), in the order of ``interactions``.

    Raises:
        DataError: the table cannot be divided this way: too few pairs, a part without pairs,
            of a single pair or of one class only, no published parts; or there is no fold
            ``config.validation_fold``.
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
    generator = np.random.default_rng(config.seed)
    sides = _KINDS[config.kind](pairs, config, generator)
    # The folds are drawn last, so that the parts do not depend on their number.
    parts = _set_aside(agreed(sides), config.adapt_fraction, generator)
    _check_usable(parts, pairs.label, config)
    folds = folds_of_sides(sides, pairs.label, _folds(parts, config), generator)
    if config.validation_fold > folds.max():
        raise DataError(
            f"split.validation_fold is {config.validation_fold}, but split {config.kind} divides "
            f"train and validation of these pairs into folds 0 to {folds.max()}; choose one of them"
        )
    chosen = choose_parts(parts, folds, config.validation_fold)
    _check_usable(chosen, pairs.label, config)
    result = pd.DataFrame({"split": PART_NAMES[chosen], "fold": common_fold(folds)}, index=order)
    return result.sort_index()


def _folds(parts: NDArray[np.int64], config: SplitConfig) -> int:
    """Return the number of folds; that of a published split follows from the size of its parts."""
    if config.kind == "published":
        return fold_count(int((parts == TRAIN).sum()), int((parts == VAL).sum()))
    return config.folds


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


def _random(pairs: _Pairs, config: SplitConfig, generator: np.random.Generator) -> tuple[Side, ...]:
    return (Side(stratified(pairs.label, _fractions(config), generator)),)


def _cold_drug(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> tuple[Side, ...]:
    return _one_side(pairs.drug, pairs, config, generator)


def _cold_target(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> tuple[Side, ...]:
    return _one_side(pairs.target, pairs, config, generator)


def _scaffold(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> tuple[Side, ...]:
    groups = scaffold_groups(pairs.drugs["smiles"].tolist())
    return _one_side(groups[pairs.drug], pairs, config, generator)


def _cold_pair(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> tuple[Side, ...]:
    return _two_sides(pairs.drug, pairs.target, pairs, config, generator)


def _cluster(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> tuple[Side, ...]:
    smiles = pairs.drugs["smiles"].tolist()
    fingerprints = morgan_fingerprints(smiles, ECFP4_RADIUS, ECFP4_BITS)
    drug = drug_clusters(fingerprints, config.cluster_drug_similarity)
    sequences = pairs.targets["sequence"].tolist()
    target = target_clusters(sequences, config.cluster_target_similarity)
    return _two_sides(drug[pairs.drug], target[pairs.target], pairs, config, generator)


def _published(
    pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> tuple[Side, ...]:
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
    return (Side(parts),)


def _one_side(
    group: NDArray[np.int64], pairs: _Pairs, config: SplitConfig, generator: np.random.Generator
) -> tuple[Side, ...]:
    return (Side(by_group(group, pairs.label, _fractions(config), generator), group),)


def _two_sides(
    drug_group: NDArray[np.int64],
    target_group: NDArray[np.int64],
    pairs: _Pairs,
    config: SplitConfig,
    generator: np.random.Generator,
) -> tuple[Side, ...]:
    groups = (drug_group, target_group)
    parts = by_two_groups(*groups, pairs.label, _fractions(config), generator)
    return tuple(Side(part, group) for part, group in zip(parts, groups, strict=True))


_KINDS: dict[str, Callable[[_Pairs, SplitConfig, np.random.Generator], tuple[Side, ...]]] = {
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


def _check_usable(parts: NDArray[np.int64], label: NDArray[np.int8], config: SplitConfig) -> None:
    for part, name in enumerate(PARTS):
        inside = label[parts == part]
        positives = int((inside == 1).sum())
        if positives in (0, len(inside)):
            fold = "another split.validation_fold, " if config.validation_fold else ""
            raise DataError(
                f"split {config.kind} (seed {config.seed}): {name} has {positives} positives and "
                f"{len(inside) - positives} negatives, and needs both; of all "
                f"{int((label == 1).sum())} positives and {int((label == 0).sum())} negatives. "
                f"Use {fold}another split.seed, larger split.val_fraction and split.test_fraction, "
                f"more data{_ADVICE[config.kind]}"
            )
