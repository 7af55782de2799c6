"""The leakage report: what test shares with train, and whether a split is what its name claims.

Everything is derived from the finished table of parts and the tables of drugs and targets; no
code that makes splits is used, so a fault there shows here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.dti.artifacts.leakage import ClaimFound, Leakage, Overlap, Part, Seen
from stages.dti.chemistry.scaffolds import murcko_scaffold
from stages.dti.config.split import SplitConfig
from stages.dti.data.splitting.leakage_similarity import DECIMALS, USED, Similarity
from stages.dti.errors import LeakageError

_COMPARED = (("test", "train"), ("val", "train"), ("test", "val"))
_OF_TEST_DOMAIN = {"adapt": "test"}
"""Pairs to adapt to share drugs and targets with test, and with no other part."""

_MAY_LEAVE_OUT = ("cold_pair", "cluster", "published")
"""Kinds that may leave pairs unused."""

_BETWEEN_FOLDS = ("cold_pair", "cluster")
"""Kinds in which the drug and the target of a train pair may be of two folds."""

_EXAMPLES = 3


@dataclass(frozen=True)
class Claim:
    """One thing that a split's name claims; it holds if ``found`` is at most ``limit``."""

    name: str
    statement: str
    found: float
    limit: float
    examples: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the claim holds."""
        return self.found <= self.limit

    def reported(self) -> ClaimFound:
        """Return the claim as it stands in the report."""
        return ClaimFound(
            name=self.name,
            statement=self.statement,
            found=round(self.found, DECIMALS),
            limit=round(self.limit, DECIMALS),
            passed=self.passed,
        )


def leakage_report(
    splits: pd.DataFrame,
    interactions: pd.DataFrame,
    drugs: pd.DataFrame,
    targets: pd.DataFrame,
    config: SplitConfig,
) -> Leakage:
    """Measure what the parts share and check every claim of ``config.kind``.

    Args:
        splits: columns drug_key, target_key, split, fold.
        interactions: columns drug_key, target_key, label, published_split; same rows and order.
        drugs: columns drug_key, smiles.
        targets: columns target_key, sequence.

    Returns:
        Fractions are of test pairs unless named otherwise; ``None`` where there is nothing to
        divide by.

    Raises:
        LeakageError: a claim does not hold.
    """
    _check_rows(splits, interactions)
    table = splits[["drug_key", "target_key", "split", "fold"]].reset_index(drop=True)
    table["label"] = interactions["label"].to_numpy()
    table["published_split"] = interactions["published_split"].to_numpy()
    table["pair"] = table["drug_key"] + "/" + table["target_key"]
    table["domain"] = table["split"].replace(_OF_TEST_DOMAIN)
    similarity = Similarity(table, drugs, targets)

    claims = [*_claims_of_all(table, config), _folds(table, config)]
    if config.kind == "random":
        claims.append(_stratified(table))
    if config.kind in ("cold_drug", "cold_pair", "scaffold", "cluster"):
        claims.append(_disjoint(table, "drug_key", "drugs_disjoint", "no drug stands in two parts"))
    if config.kind in ("cold_target", "cold_pair", "cluster"):
        claims.append(
            _disjoint(table, "target_key", "targets_disjoint", "no target stands in two parts")
        )
    if config.kind == "scaffold":
        claims.append(_scaffolds_disjoint(table, drugs))
    if config.kind == "cluster":
        claims += _dissimilar(similarity, config)
    if config.kind == "published":
        claims += _published(table, config)
    if config.adapt_fraction:
        claims.append(_set_aside(table, config.adapt_fraction))
    _require(claims, config.kind)

    adapt = ("adapt",) if config.adapt_fraction else ()
    return Leakage(
        kind=config.kind,
        seed=config.seed,
        parts={part: _counts(table, part) for part in (*USED, "unused", *adapt)},
        overlap={
            f"{a}_{b}": _overlap(table, a, b)
            for a, b in (*_COMPARED, *((part, other) for part in adapt for other in USED))
        },
        test_pairs=_seen(table),
        nearest_train_similarity=similarity.summary(),
        validation_carved_from_train=config.kind == "published" and _is_carved(table),
        claims=[claim.reported() for claim in claims],
    )


def _check_rows(splits: pd.DataFrame, interactions: pd.DataFrame) -> None:
    keys = ["drug_key", "target_key"]
    if len(splits) != len(interactions) or not np.array_equal(
        splits[keys].to_numpy(object), interactions[keys].to_numpy(object)
    ):
        raise LeakageError(
            f"the split holds {len(splits)} pairs, the interactions {len(interactions)}, and they "
            "are not the same pairs in the same order; run `dvc repro split`"
        )


def _require(claims: list[Claim], kind: str) -> None:
    broken = [claim for claim in claims if not claim.passed]
    if not broken:
        return
    lines = [
        f"{claim.name}: claimed that {claim.statement}; found {claim.found:g}, "
        f"at most {claim.limit:g} allowed"
        + (f" (such as {', '.join(claim.examples)})" if claim.examples else "")
        for claim in broken
    ]
    raise LeakageError(
        f"split {kind} is not what its name claims:\n  "
        + "\n  ".join(lines)
        + "\nNothing was written. "
        + (
            "A larger split.max_overlap_fraction takes the repeated pairs out of train and keeps "
            "them in test; or divide anew, such as split=random"
            if kind == "published"
            else "The tables were altered or the split is at fault: run `dvc repro -f prepare "
            "split`, and report it if it stays"
        )
    )


def _claims_of_all(table: pd.DataFrame, config: SplitConfig) -> Iterable[Claim]:
    allowed = {*USED, "unused"} if config.kind in _MAY_LEAVE_OUT else set(USED)
    if config.adapt_fraction:
        allowed.add("adapt")
    strangers = ~table["split"].isin(allowed)
    yield Claim(
        "parts_known",
        f"every pair stands in one of {', '.join(sorted(allowed))}",
        float(strangers.sum()),
        0,
        _first(table.loc[strangers, "pair"]),
    )
    repeated = table["pair"].duplicated(keep="first")
    yield Claim(
        "pairs_disjoint",
        "no pair stands in two parts, or twice in one",
        float(repeated.sum()),
        0,
        _first(table.loc[repeated, "pair"]),
    )


def _folds(table: pd.DataFrame, config: SplitConfig) -> Claim:
    """Of the chosen fold; that its pairs are apart from the others' is the claim on the parts."""
    validates = table["fold"] == config.validation_fold
    moved = validates != (table["split"] == "val")
    moved |= (table["fold"] >= 0) & ~table["split"].isin(["train", "val"])
    if config.kind not in _BETWEEN_FOLDS:
        moved |= (table["fold"] < 0) & (table["split"] == "train")
    return Claim(
        "validation_fold",
        f"fold {config.validation_fold} is the validation part, and all other pairs that have a "
        "fold are train",
        float(moved.sum()),
        0,
        _first(table.loc[moved, "pair"]),
    )


def _set_aside(table: pd.DataFrame, adapt_fraction: float) -> Claim:
    domain = table.loc[table["domain"] == "test", "split"]
    return Claim(
        "adapt_fraction",
        "the pairs to adapt to are no more than split.adapt_fraction of those that would be "
        "tested, rounded to a whole pair",
        float((domain == "adapt").sum()),
        len(domain) * adapt_fraction + 0.5,
    )


def _stratified(table: pd.DataFrame) -> Claim:
    by_part = table.groupby("split")["label"].agg(["size", "sum"])
    deviation = (by_part["sum"] - by_part["size"] * table["label"].mean()).abs()
    return Claim(
        "stratified",
        "the positives of a part differ from its share by no more than rounding to whole pairs, "
        "and the one pair that gives a part both classes",
        float(deviation.max()),
        2,
    )


def _disjoint(table: pd.DataFrame, column: str, name: str, statement: str) -> Claim:
    used = table[table["domain"].isin(USED)]
    parts = used.groupby(column)["domain"].nunique()
    shared = parts.index[parts > 1]
    return Claim(name, statement, float(len(shared)), 0, _first(shared))


def _scaffolds_disjoint(table: pd.DataFrame, drugs: pd.DataFrame) -> Claim:
    smiles = drugs.set_index("drug_key")["smiles"]
    scaffolds = {key: murcko_scaffold(smiles[key]) for key in table["drug_key"].unique()}
    cyclic = table.assign(scaffold=table["drug_key"].map(scaffolds))
    return _disjoint(
        cyclic[cyclic["scaffold"] != ""],
        "scaffold",
        "scaffolds_disjoint",
        "no Bemis-Murcko scaffold stands in two parts (acyclic drugs have none)",
    )


def _dissimilar(similarity: Similarity, config: SplitConfig) -> Iterable[Claim]:
    for kind, nearest, threshold in (
        ("drug", similarity.drug, config.cluster_drug_similarity),
        ("target", similarity.target, config.cluster_target_similarity),
    ):
        across = pd.concat([nearest(part, reference) for part, reference in _COMPARED])
        # The similarities are float32; so must be the threshold, or 3/5 would exceed 0.6.
        limit = float(np.float32(threshold))
        yield Claim(
            f"{kind}_similarity",
            f"no {kind} is more similar to a {kind} of another part than "
            f"split.cluster_{kind}_similarity",
            float(across.max()) if len(across) else 0.0,
            limit,
            _first(across.index[across > limit].unique()),
        )


def _published(table: pd.DataFrame, config: SplitConfig) -> Iterable[Claim]:
    named = _published_names(table)
    expected = named.map(_part_named)
    if config.validation_fold:
        free = expected.isin(["train", "val"]) & table["split"].isin(["train", "val"])
        but = f" (train and validation taken together: fold {config.validation_fold} validates)"
    else:
        free = _is_carved(table) & (table["split"] == "val") & (expected == "train")
        but = ""
    moved = (table["split"] != expected) & ~free
    yield Claim(
        "as_published",
        f"every pair stands in the part that its source names{but}, or is unused if it names none",
        float(moved.sum()),
        0,
        _first(table.loc[moved, "pair"]),
    )
    test = table[named.map(lambda names: "test" in names)]
    repeated = named[test.index].map(lambda names: "train" in names).astype(bool)
    yield Claim(
        "overlap_fraction",
        "the source repeats no larger share of its test pairs in train than "
        "split.max_overlap_fraction (those are kept in test alone)",
        float(repeated.mean()) if len(test) else 0.0,
        config.max_overlap_fraction,
        _first(test.loc[repeated, "pair"]),
    )


def _published_names(table: pd.DataFrame) -> pd.Series:
    """Return the list of parts that the sources name for each pair; merged rows may differ."""
    return table["published_split"].map(lambda text: [] if pd.isna(text) else text.split("+"))


def _part_named(names: list[str]) -> str:
    """Return the part where a pair belongs that the sources put into ``names``."""
    for part in ("test", "val", "train"):
        if part in names:
            return part
    return "+".join(names) or "unused"


def _is_carved(table: pd.DataFrame) -> bool:
    """Whether the sources name no validation part."""
    return not any("val" in names for names in _published_names(table))


def _counts(table: pd.DataFrame, part: str) -> Part:
    inside = table[table["split"] == part]
    return Part(
        pairs=len(inside),
        drugs=int(inside["drug_key"].nunique()),
        targets=int(inside["target_key"].nunique()),
        positives=int((inside["label"] == 1).sum()),
        prevalence=_fraction((inside["label"] == 1).sum(), len(inside)),
        fraction_of_all=_fraction(len(inside), len(table)),
    )


def _overlap(table: pd.DataFrame, part: str, reference: str) -> Overlap:
    inside, other = table[table["split"] == part], table[table["split"] == reference]
    pairs, drugs, targets = (
        len(set(inside[key]) & set(other[key])) for key in ("pair", "drug_key", "target_key")
    )
    return Overlap(pairs=pairs, drugs=drugs, targets=targets)


def _seen(table: pd.DataFrame) -> Seen:
    """Return the fractions of test pairs whose drug, target, both, neither stand in train."""
    test, train = table[table["split"] == "test"], table[table["split"] == "train"]
    drug = test["drug_key"].isin(train["drug_key"])
    target = test["target_key"].isin(train["target_key"])
    return Seen(
        drug_seen_fraction=_fraction(drug.sum(), len(test)),
        target_seen_fraction=_fraction(target.sum(), len(test)),
        both_seen_fraction=_fraction((drug & target).sum(), len(test)),
        neither_seen_fraction=_fraction((~drug & ~target).sum(), len(test)),
    )


def _fraction(count: int, total: int) -> float | None:
    return round(int(count) / total, DECIMALS) if total else None


def _first(keys: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(key) for key in list(keys)[:_EXAMPLES])
