"""Folds of train and validation: any of them can validate, and none touches the test part."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from stages.dti.chemistry.fingerprints import ECFP4_BITS, ECFP4_RADIUS, morgan_fingerprints
from stages.dti.chemistry.scaffolds import murcko_scaffold
from stages.dti.config.base import build
from stages.dti.config.split import ADAPTABLE, SplitConfig, fold_count
from stages.dti.data.splitting.clusters import drug_clusters, target_clusters
from stages.dti.data.splitting.leakage import leakage_report
from stages.dti.data.splitting.splits import make_split
from stages.dti.errors import ConfigError, DataError, LeakageError
from tests.support.split_tables import KINDS, Tables, config, grid, sample, smiles_and_sequences

TWO_SIDED = ("cold_pair", "cluster")
ONE_SIDED = tuple(kind for kind in KINDS if kind not in TWO_SIDED)


@cache
def split(kind: str, fold: int = 0, adapt_fraction: float = 0.0) -> pd.DataFrame:
    settings = config(kind, validation_fold=fold, adapt_fraction=adapt_fraction)
    return sample().interactions[["drug_key", "target_key"]].join(make_split(*sample(), settings))


def drugs_in_clusters() -> pd.Series:
    drugs = sample().drugs
    fingerprints = morgan_fingerprints(drugs["smiles"].tolist(), ECFP4_RADIUS, ECFP4_BITS)
    return pd.Series(drug_clusters(fingerprints, 0.6), drugs["drug_key"])


def targets_in_clusters() -> pd.Series:
    targets = sample().targets
    return pd.Series(target_clusters(targets["sequence"].tolist(), 0.5), targets["target_key"])


def drugs_by_scaffold() -> pd.Series:
    """The scaffold, or the drug itself where it has none."""
    drugs = sample().drugs
    names = [
        murcko_scaffold(smiles) or key
        for smiles, key in zip(drugs["smiles"], drugs["drug_key"], strict=True)
    ]
    return pd.Series(names, drugs["drug_key"])


@pytest.mark.parametrize("kind", ONE_SIDED)
def test_every_pair_that_is_not_tested_has_one_fold(kind: str) -> None:
    table = split(kind)
    assert table["fold"].dtype == np.int8
    assert ((table["fold"] == -1) == (table["split"] == "test")).all()
    assert ((table["fold"] == 0) == (table["split"] == "val")).all()


@pytest.mark.parametrize("kind", TWO_SIDED)
def test_pairs_between_two_folds_have_none(kind: str) -> None:
    table = split(kind)
    assert ((table["fold"] == 0) == (table["split"] == "val")).all()
    assert (table.loc[table["fold"] > 0, "split"] == "train").all()
    inside = table[table["fold"] >= 0]
    drug = inside.groupby("drug_key")["fold"].first()
    target = inside.groupby("target_key")["fold"].first()
    between = table[(table["fold"] == -1) & (table["split"] == "train")]
    folds = pd.DataFrame(
        {"drug": between["drug_key"].map(drug), "target": between["target_key"].map(target)}
    ).dropna()
    assert len(folds) > 500
    assert (folds["drug"] != folds["target"]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_folds_are_as_many_and_as_large_as_validation_asks_for(kind: str) -> None:
    table = split(kind)
    sizes = table[table["fold"] >= 0].groupby("fold").size()
    assert sizes.index.tolist() == list(range(4 if kind in (*TWO_SIDED, "published") else 9))
    np.testing.assert_allclose(sizes[1:], sizes[1:].mean(), rtol=0.06)
    np.testing.assert_allclose(sizes[1:], sizes[0], rtol=0.15)
    prevalence = sample().interactions["label"][table["fold"] > 0].groupby(table["fold"]).mean()
    np.testing.assert_allclose(prevalence, prevalence.mean(), rtol=0.1)


@pytest.mark.parametrize(
    ("kind", "column", "groups"),
    [
        ("cold_drug", "drug_key", None),
        ("cold_target", "target_key", None),
        ("cold_pair", "drug_key", None),
        ("cold_pair", "target_key", None),
        ("scaffold", "drug_key", drugs_by_scaffold),
        ("cluster", "drug_key", drugs_in_clusters),
        ("cluster", "target_key", targets_in_clusters),
    ],
)
def test_what_the_split_keeps_together_stands_in_one_fold(kind: str, column: str, groups) -> None:
    table = split(kind)
    inside = table[table["fold"] >= 0]
    group = inside[column] if groups is None else inside[column].map(groups())
    assert inside.groupby(group)["fold"].nunique().max() == 1
    assert inside["fold"].nunique() > 3


@pytest.mark.parametrize("kind", KINDS)
def test_another_fold_validates_and_the_test_part_stays(kind: str) -> None:
    first, other = split(kind), split(kind, 1)
    pd.testing.assert_series_equal(other["fold"], first["fold"])
    assert ((other["split"] == "test") == (first["split"] == "test")).all()
    assert ((other["split"] == "val") == (first["fold"] == 1)).all()
    assert (other.loc[first["split"] == "val", "split"] == "train").all()
    assert (other["split"] == "train").sum() > 0.9 * (first["split"] == "train").sum()


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_holds_every_fold_to_the_claims_of_the_split(kind: str) -> None:
    for fold in (1, 2, 3) if kind in TWO_SIDED else (1, 3):
        settings = config(kind, validation_fold=fold)
        found = leakage_report(
            split(kind, fold), *sample(), settings
        ).plain()  # raises if a claim fails
        claims = {claim["name"]: claim["statement"] for claim in found["claims"]}
        assert claims["validation_fold"].startswith(f"fold {fold} is the validation part")
        if kind in TWO_SIDED:
            assert found["overlap"]["val_train"] == {"pairs": 0, "drugs": 0, "targets": 0}


@pytest.mark.parametrize("kind", ADAPTABLE)
def test_pairs_to_adapt_to_are_the_same_and_in_no_fold(kind: str) -> None:
    first, other = split(kind, 0, 0.5), split(kind, 2, 0.5)
    adapt = first["split"] == "adapt"
    assert (other["split"] == "adapt").equals(adapt)
    assert (first.loc[adapt, "fold"] == -1).all()
    settings = config(kind, validation_fold=2, adapt_fraction=0.5)
    assert leakage_report(other, *sample(), settings)


@pytest.mark.parametrize(
    ("kind", "part", "fold"),
    [
        ("random", "val", 1),  # validation is not the fold whole
        ("random", "train", 0),  # a pair of the fold is train
        ("random", "test", 3),  # a pair of a fold is tested
        ("random", "train", -1),  # a train pair that no fold would validate on
        ("cluster", "unused", 1),
    ],
)
def test_folds_that_do_not_fit_the_parts_break_the_claim(kind: str, part: str, fold: int) -> None:
    table = split(kind).copy()
    table.loc[table.index[table["split"] == part][0], "fold"] = fold
    with pytest.raises(LeakageError, match=r"validation_fold: .*found 1"):
        leakage_report(table, *sample(), config(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_one_fold_break_the_claim_of_another(kind: str) -> None:
    with pytest.raises(LeakageError, match="validation_fold"):
        leakage_report(split(kind, 1), *sample(), config(kind, validation_fold=2))


def test_a_published_test_pair_may_not_move_whichever_fold_validates() -> None:
    table = split("published", 1).copy()
    first = table.index[table["split"] == "test"][0]
    table.loc[first, ["split", "fold"]] = ["train", 2]
    with pytest.raises(LeakageError, match=r"as_published: .*fold 1 validates"):
        leakage_report(table, *sample(), config("published", validation_fold=1))


@pytest.mark.parametrize(
    ("kind", "fold", "last"), [("random", 9, 8), ("scaffold", 20, 8), ("cold_pair", 4, 3)]
)
def test_a_fold_that_does_not_exist_is_refused_before_work(kind: str, fold: int, last: int) -> None:
    values = config(kind).model_dump() | {"validation_fold": fold}
    with pytest.raises(ConfigError, match=rf"validation_fold is {fold}, .*has folds 0 to {last}"):
        build(SplitConfig, values, "split")
    assert build(SplitConfig, values | {"validation_fold": last}, "split")


def test_a_published_split_has_as_many_folds_as_its_parts_allow() -> None:
    with pytest.raises(DataError, match=r"validation_fold is 4, .* folds 0 to 3; choose"):
        make_split(*sample(), config("published", validation_fold=4))


def test_few_groups_make_few_folds() -> None:
    smiles, sequences = smiles_and_sequences(5, 30)
    few = grid(smiles, sequences)
    found = make_split(*few, config("cold_drug"))
    assert sorted(found["fold"].unique()) == [-1, 0, 1, 2, 3]
    with pytest.raises(DataError, match=r"validation_fold is 4, .* folds 0 to 3"):
        make_split(*few, config("cold_drug", validation_fold=4))


def test_a_fold_of_one_class_cannot_validate() -> None:
    smiles, sequences = smiles_and_sequences(10, 10)
    whole = grid(smiles, sequences, [1, 1, 1] + [0] * 97)
    fold = make_split(*whole, config("random"))["fold"]
    without = next(
        number for number in range(1, 9) if not whole.interactions["label"][fold == number].any()
    )
    with pytest.raises(
        DataError, match=r"val has 0 positives .* Use another split\.validation_fold"
    ):
        make_split(*whole, config("random", validation_fold=without))


def test_the_seed_draws_the_folds() -> None:
    first = make_split(*sample(), config("published"))
    other = make_split(*sample(), config("published", seed=1))
    assert (first["split"] == other["split"]).all()
    assert (first["fold"] != other["fold"]).mean() > 0.3


@pytest.mark.parametrize(
    ("train", "val", "folds"), [(0.8, 0.1, 9), (0.6, 0.2, 4), (0.1, 0.8, 2), (1e6, 1, 100)]
)
def test_folds_are_about_as_large_as_validation(train: float, val: float, folds: int) -> None:
    assert fold_count(train, val) == folds


def test_a_table_in_another_order_has_the_same_folds() -> None:
    interactions, drugs, targets = sample()
    turned = Tables(interactions.iloc[::-1].reset_index(drop=True), drugs, targets)
    for kind in ("random", "cluster"):
        found = make_split(*turned, config(kind)).iloc[::-1].reset_index(drop=True)
        pd.testing.assert_frame_equal(found, split(kind)[["split", "fold"]])
