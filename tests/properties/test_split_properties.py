"""For any small table of real drugs and targets, every kind of split keeps its promises."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from stages.dti.data.splitting.assignment import part_sizes, positives_per_part
from stages.dti.data.splitting.leakage import leakage_report
from stages.dti.data.splitting.splits import make_split
from stages.dti.errors import DataError
from tests.support.split_tables import KINDS, Tables, config, smiles_and_sequences, tables

SMILES, SEQUENCES = smiles_and_sequences(25, 12)
SMILES += ["CCO", "CCCO", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "Oc1ccccc1"]

QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@st.composite
def small_tables(draw: st.DrawFn, smallest: int = 1) -> Tables:
    drugs = draw(st.integers(1, len(SMILES)))
    targets = draw(st.integers(1, len(SEQUENCES)))
    cells = drugs * targets
    chosen = draw(
        st.lists(
            st.integers(0, cells - 1), min_size=min(smallest, cells), max_size=120, unique=True
        )
    )
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    positive_fraction = draw(st.sampled_from([0.05, 0.3, 0.5, 0.9]))
    names = draw(st.sampled_from([["train", "test"], ["train", "val", "test", None]]))
    rows = [
        (
            SMILES[cell // targets],
            SEQUENCES[cell % targets],
            int(generator.random() < positive_fraction),
            names[generator.integers(len(names))],
        )
        for cell in chosen
    ]
    return tables(pd.DataFrame(rows, columns=["smiles", "sequence", "label", "published_split"]))


kinds = st.sampled_from(KINDS)
seeds = st.integers(0, 1000)


def split_or_none(whole: Tables, kind: str, seed: int, fold: int = 0) -> pd.DataFrame | None:
    """Return parts and folds, or None where the table is refused as impossible to divide so."""
    try:
        return make_split(*whole, config(kind, seed=seed, validation_fold=fold))
    except DataError:
        return None


@QUICK
@given(whole=small_tables(smallest=20), kind=kinds, seed=seeds)
def test_claims_hold_for_whatever_is_not_refused(whole: Tables, kind: str, seed: int) -> None:
    found = split_or_none(whole, kind, seed)
    assume(found is not None)
    splits = whole.interactions[["drug_key", "target_key"]].join(found)
    report = leakage_report(
        splits, *whole, config(kind, seed=seed)
    ).plain()  # raises if a claim fails
    counts = report["parts"]
    assert sum(part["pairs"] for part in counts.values()) == len(whole.interactions)
    for part in ("train", "val", "test"):
        assert counts[part]["pairs"] >= 1
        if counts[part]["pairs"] > 1:
            assert 0 < counts[part]["positives"] < counts[part]["pairs"]
    if kind not in ("cold_pair", "cluster", "published"):
        assert counts["unused"]["pairs"] == 0


@QUICK
@given(whole=small_tables(smallest=20), kind=kinds, seed=seeds, fold=st.integers(1, 8))
def test_claims_hold_whichever_fold_validates(
    whole: Tables, kind: str, seed: int, fold: int
) -> None:
    first = split_or_none(whole, kind, seed)
    assume(first is not None)
    fold = min(fold, int(first["fold"].max()))
    found = split_or_none(whole, kind, seed, fold)
    assume(found is not None)
    splits = whole.interactions[["drug_key", "target_key"]].join(found)
    leakage_report(splits, *whole, config(kind, seed=seed, validation_fold=fold))
    pd.testing.assert_series_equal(found["fold"], first["fold"])
    for table, validates in ((first, 0), (found, fold)):
        assert ((table["split"] == "val") == (first["fold"] == validates)).all()
        assert ((table["split"] == "test") == (first["split"] == "test")).all()
        if kind not in ("cold_pair", "cluster", "published"):
            assert ((table["split"] == "test") == (first["fold"] == -1)).all()


@QUICK
@given(whole=small_tables(), kind=kinds, seed=seeds)
def test_the_same_seed_gives_the_same_parts(whole: Tables, kind: str, seed: int) -> None:
    first, again = (split_or_none(whole, kind, seed) for _ in range(2))
    if first is None:
        assert again is None
    else:
        pd.testing.assert_frame_equal(first, again)


@QUICK
@given(whole=small_tables(), kind=kinds, seed=seeds, shuffle=st.integers(0, 100))
def test_the_order_of_rows_plays_no_part(whole: Tables, kind: str, seed: int, shuffle: int) -> None:
    interactions, drugs, targets = whole
    order = np.random.default_rng(shuffle).permutation(len(interactions))
    shuffled = Tables(
        interactions.iloc[order].reset_index(drop=True), drugs.iloc[::-1], targets.iloc[::-1]
    )
    parts, moved = (split_or_none(table, kind, seed) for table in (whole, shuffled))
    if parts is None:
        assert moved is None
    else:
        pd.testing.assert_frame_equal(parts.iloc[order].reset_index(drop=True), moved)


@QUICK
@given(whole=small_tables(smallest=3), seed=seeds)
def test_random_refuses_only_what_cannot_be_divided(whole: Tables, seed: int) -> None:
    """Three of each class, or parts of single pairs, are enough."""
    labels = whole.interactions["label"]
    assume(len(labels) >= 3 and min((labels == 1).sum(), (labels == 0).sum()) >= 3)
    assert split_or_none(whole, "random", seed) is not None


@given(
    rows=st.integers(3, 2000),
    share=st.floats(0, 1),
    val=st.floats(0.01, 0.6),
    test=st.floats(0.01, 0.39),
)
def test_sizes_and_positives_add_up_and_stay_near_their_share(
    rows: int, share: float, val: float, test: float
) -> None:
    fractions = (1 - val - test, val, test)
    sizes = part_sizes(rows, fractions)
    assert sizes.sum() == rows
    assert (sizes >= 1).all()
    positives = round(rows * share)
    found = positives_per_part(positives, sizes)
    assert found.sum() == positives
    assert ((found >= 0) & (found <= sizes)).all()
    assert (np.abs(found - positives * sizes / rows) <= 2).all()
