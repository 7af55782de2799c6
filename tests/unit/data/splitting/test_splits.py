"""How pairs are divided: sizes, stratification, balance, groups, published parts, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from stages.dti.chemistry.fingerprints import (
    ECFP4_BITS,
    ECFP4_RADIUS,
    morgan_fingerprints,
    tanimoto,
)
from stages.dti.chemistry.kmers import SequenceReference
from stages.dti.chemistry.scaffolds import murcko_scaffold
from stages.dti.data.splitting.assignment import balance, part_sizes, positives_per_part
from stages.dti.data.splitting.clusters import drug_clusters, scaffold_groups, target_clusters
from stages.dti.data.splitting.splits import make_split
from stages.dti.errors import DataError, InvalidInputError
from tests.support.split_tables import (
    KINDS,
    Tables,
    config,
    grid,
    parts_of,
    sample,
    smiles_and_sequences,
    tables,
)

EIGHTY = (0.8, 0.1, 0.1)
SMILES, SEQUENCES = smiles_and_sequences(60, 30)


def counts(split: np.ndarray) -> dict[str, int]:
    return pd.Series(split).value_counts().to_dict()


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(3, [1, 1, 1]), (5, [3, 1, 1]), (6, [2, 2, 2]), (10, [6, 2, 2]), (5000, [4000, 500, 500])],
)
def test_part_sizes_adapt_to_few_rows(rows: int, sizes: list[int]) -> None:
    assert part_sizes(rows, EIGHTY).tolist() == sizes


def test_part_sizes_never_leave_train_empty() -> None:
    assert part_sizes(4, (0.02, 0.49, 0.49)).tolist() == [1, 1, 2]
    assert part_sizes(2, (0.9, 0.1)).tolist() == [1, 1]
    with pytest.raises(ValueError, match="2 rows cannot fill 3 parts"):
        part_sizes(2, EIGHTY)


@pytest.mark.parametrize(
    ("positives", "sizes", "expected"),
    [
        (841, [4000, 500, 500], [673, 84, 84]),  # proportional
        (3, [80, 10, 10], [1, 1, 1]),  # rare: one each rather than three in train
        (2, [80, 10, 10], [1, 1, 0]),  # too few: the earlier part first
        (1, [3, 1, 1], [1, 0, 0]),
        (2, [3, 1, 1], [1, 1, 0]),
        (97, [80, 10, 10], [79, 9, 9]),  # rare negatives likewise
    ],
)
def test_positives_are_shared_out(positives: int, sizes: list[int], expected: list[int]) -> None:
    assert positives_per_part(positives, np.array(sizes)).tolist() == expected


@pytest.mark.parametrize("positives", range(1, 30))
def test_positives_fit_into_their_parts(positives: int) -> None:
    sizes = np.array([24, 3, 3])
    share = positives_per_part(positives, sizes)
    assert share.sum() == positives
    assert (share >= 0).all()
    assert (share <= sizes).all()
    if 3 <= positives <= 27:
        assert (share >= 1).all()
        assert (share < sizes).all()


def single_axis(groups: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Contributions and wanted rows of groups given as (negatives, positives), at 80/10/10."""
    rows = np.array(groups)
    return np.repeat(rows[:, None, :], 3, axis=1), np.outer(EIGHTY, rows.sum(axis=0))


def totals(groups: list[tuple[int, int]], parts: np.ndarray) -> np.ndarray:
    rows = np.array(groups)
    return np.stack([rows[parts == part].sum(axis=0) for part in range(3)])


@pytest.mark.parametrize("seed", range(5))
def test_balance_gives_every_part_a_positive(seed: int) -> None:
    groups = [(10, 0)] * 40 + [(10, 1)] * 3
    contributions, wanted = single_axis(groups)
    found = totals(groups, balance(contributions, wanted, np.random.default_rng(seed)))
    assert found[:, 1].tolist() == [1, 1, 1]
    assert found[0, 0] > 300


def test_balance_keeps_a_group_that_fits_nowhere_else_in_train() -> None:
    groups = [(300, 100)] + [(3, 1)] * 50
    for seed in range(5):
        contributions, wanted = single_axis(groups)
        assert balance(contributions, wanted, np.random.default_rng(seed))[0] == 0


def test_balance_favours_no_size() -> None:
    """Small groups must not gather in the small parts: a test drug is as well studied as any."""
    generator = np.random.default_rng(0)
    sizes = np.ceil(generator.lognormal(2.5, 1.0, 400)).astype(int)
    groups = [(size - size // 3, size // 3) for size in sizes.tolist()]
    contributions, wanted = single_axis(groups)
    means = np.zeros((20, 3))
    for seed in range(20):
        parts = balance(contributions, wanted, np.random.default_rng(seed))
        rows = totals(groups, parts).sum(axis=1)
        np.testing.assert_allclose(rows / sizes.sum(), EIGHTY, rtol=0.06)
        means[seed] = [sizes[parts == part].mean() for part in range(3)]
    np.testing.assert_allclose(means.mean(axis=0) / sizes.mean(), 1, atol=0.1)


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_parts_have_the_fractions_and_the_prevalence_asked_for(kind: str) -> None:
    whole = sample()
    split = parts_of(whole, config(kind))
    used = whole.interactions[split != "unused"].assign(part=split[split != "unused"])
    share = used["part"].value_counts(normalize=True)
    np.testing.assert_allclose(share[["train", "val", "test"]], EIGHTY, rtol=0.1)
    prevalence = used.groupby("part")["label"].mean()
    np.testing.assert_allclose(prevalence, whole.interactions["label"].mean(), rtol=0.1)
    if kind in ("cold_pair", "cluster"):
        assert 0.35 < len(used) / len(split) < 0.5
    else:
        assert len(used) == len(split)


@pytest.mark.parametrize("kind", ["random", "cold_drug", "cold_pair"])
def test_the_seed_decides(kind: str) -> None:
    first, again, other = (parts_of(sample(), config(kind, seed=seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).mean() > 0.1


def test_six_pairs_are_enough_for_two_classes_in_each_part() -> None:
    few = grid(SMILES[:6], SEQUENCES[:1], [1, 0, 1, 0, 1, 0])
    for seed in range(10):
        split = parts_of(few, config("random", seed=seed))
        assert counts(split) == {"train": 2, "val": 2, "test": 2}
        for part in ("train", "val", "test"):
            assert set(few.interactions["label"][split == part]) == {0, 1}


def test_a_part_of_a_single_pair_is_refused() -> None:
    few = grid(SMILES[:8], SEQUENCES[:1], [1, 0] * 4)
    few.interactions["published_split"] = ["train"] * 4 + ["val"] + ["test"] * 3
    with pytest.raises(DataError, match=r"val has 1 positives and 0 negatives, and needs both"):
        parts_of(few, config("published"))


def test_cold_splits_differ_in_what_they_keep_apart() -> None:
    whole = sample()
    for kind, apart, shared in (
        ("cold_drug", "drug_key", "target_key"),
        ("cold_target", "target_key", "drug_key"),
    ):
        parts = whole.interactions.assign(part=parts_of(whole, config(kind)))
        assert parts.groupby(apart)["part"].nunique().max() == 1
        assert parts.groupby(shared)["part"].nunique().max() == 3


def test_drug_clusters_are_single_linkage() -> None:
    """Against SciPy's hierarchical clustering, on real molecules."""
    fingerprints = morgan_fingerprints(SMILES, ECFP4_RADIUS, ECFP4_BITS)
    similar = tanimoto(fingerprints, fingerprints).astype(float)
    tree = linkage(squareform(1 - similar, checks=False), "single")
    for threshold in (0.31, 0.47, 0.63, 0.81):
        expected = fcluster(tree, 1 - threshold, "distance")
        assert same_partition(drug_clusters(fingerprints, threshold), expected)
        assert 1 < len(set(expected)) < len(SMILES)


def test_target_clusters_are_single_linkage() -> None:
    reference = SequenceReference.fit(SEQUENCES)
    similar = np.stack([reference.similarities(query) for query in SEQUENCES]).astype(float)
    tree = linkage(squareform(1 - similar, checks=False), "single")
    for threshold in (0.4, 0.45, 0.5):
        expected = fcluster(tree, 1 - threshold, "distance")
        assert same_partition(target_clusters(SEQUENCES, threshold), expected)
        assert 1 < len(set(expected)) < len(SEQUENCES)


def test_clusters_join_across_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprints = morgan_fingerprints(SMILES, ECFP4_RADIUS, ECFP4_BITS)
    whole = drug_clusters(fingerprints, 0.4)
    monkeypatch.setattr("stages.dti.data.splitting.clusters._ROWS", 7)
    assert (drug_clusters(fingerprints, 0.4) == whole).all()


def test_a_pair_exactly_at_the_threshold_is_not_joined() -> None:
    fingerprints = np.packbits([[1, 1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 1, 0, 0, 0]], axis=1)
    assert tanimoto(fingerprints, fingerprints)[0, 1] == np.float32(3 / 5)
    assert drug_clusters(fingerprints, 0.6).tolist() == [0, 1]
    assert drug_clusters(fingerprints, 0.59).tolist() == [0, 0]


def test_scaffolds_are_rdkits_python_ones() -> None:
    for text in SMILES:
        expected = MurckoScaffold.MurckoScaffoldSmiles(
            mol=Chem.MolFromSmiles(text), includeChirality=False
        )
        assert murcko_scaffold(text) == expected


def test_scaffold_ignores_substituents_and_stereochemistry() -> None:
    assert murcko_scaffold("C[C@H](N)c1ccccc1") == murcko_scaffold("OCc1ccc(F)cc1") == "c1ccccc1"
    assert murcko_scaffold("CCO") == ""
    with pytest.raises(InvalidInputError, match="cannot read the SMILES 'c1cc'"):
        murcko_scaffold("c1cc")


def test_acyclic_drugs_are_each_their_own_scaffold() -> None:
    assert scaffold_groups(["CCO", "Cc1ccccc1", "CCN", "Oc1ccccc1"]).tolist() == [0, 1, 2, 1]


def published(names: list[str | None], label: list[int] | None = None) -> Tables:
    pairs = pd.DataFrame({"smiles": SMILES[: len(names)], "sequence": SEQUENCES[0]})
    pairs["label"] = [i % 2 for i in range(len(names))] if label is None else label
    return tables(pairs.assign(published_split=names))


def test_published_parts_are_kept() -> None:
    names = ["train"] * 6 + ["val"] * 4 + ["test"] * 4 + [None] * 2
    split = parts_of(published(names), config("published"))
    assert split.tolist() == [*names[:-2], "unused", "unused"]


def test_a_pair_published_twice_stands_in_test_before_val_before_train() -> None:
    names = ["train", "train"] + ["train+test", "test"] * 2 + ["val+train", "val"] * 2
    split = parts_of(published(names), config("published"))
    assert split.tolist() == ["train"] * 2 + ["test"] * 4 + ["val"] * 4


def test_published_without_validation_carves_it_from_train() -> None:
    names = ["train"] * 36 + ["test"] * 8
    whole = published(names)
    split = parts_of(whole, config("published"))
    assert counts(split) == {"train": 32, "val": 4, "test": 8}
    assert (split[36:] == "test").all()
    assert whole.interactions["label"][split == "val"].mean() == 0.5
    assert (split == parts_of(whole, config("published"))).all()
    assert (split != parts_of(whole, config("published", seed=1))).any()


@pytest.mark.parametrize(("names", "missing"), [([None] * 6, "train"), (["train"] * 6, "test")])
def test_published_parts_that_are_missing(names: list[str | None], missing: str) -> None:
    with pytest.raises(DataError, match=f"put no pair into {missing}.*columns.split"):
        parts_of(published(names), config("published"))


def test_too_few_pairs() -> None:
    with pytest.raises(DataError, match=r"5 pairs cannot be divided .* so 6 in all"):
        parts_of(grid(SMILES[:5], SEQUENCES[:1], [0, 1, 0, 1, 0]), config("random"))


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_a_table_of_one_class_is_refused(kind: str) -> None:
    whole = grid(SMILES[:10], SEQUENCES[:10], [1] * 100)
    with pytest.raises(DataError, match=r"has \d+ positives and 0 negatives, and needs both"):
        parts_of(whole, config(kind))


def test_too_few_positives_are_refused() -> None:
    whole = grid(SMILES[:10], SEQUENCES[:10], [1, 1] + [0] * 98)
    with pytest.raises(
        DataError, match=r"random \(seed 0\): test has 0 positives and 10 negatives"
    ):
        parts_of(whole, config("random"))


def test_three_positives_are_enough_for_random() -> None:
    whole = grid(SMILES[:10], SEQUENCES[:10], [1, 1, 1] + [0] * 97)
    split = parts_of(whole, config("random"))
    assert sorted(split[:3]) == ["test", "train", "val"]


def test_too_few_groups_are_refused_with_advice() -> None:
    whole = grid(SMILES[:2], SEQUENCES)
    with pytest.raises(DataError, match=r"cold_drug .* such as split=random"):
        parts_of(whole, config("cold_drug"))
    with pytest.raises(DataError, match=r"cluster .* higher split.cluster_drug_similarity"):
        parts_of(sample(), config("cluster", cluster_target_similarity=0.05))


def test_a_drug_without_a_row_is_named() -> None:
    interactions, drugs, targets = sample()
    with pytest.raises(DataError, match=f"such as {drugs['drug_key'].min()}, have no row"):
        make_split(interactions, drugs.drop(drugs["drug_key"].idxmin()), targets, config("random"))
    with pytest.raises(DataError, match="target_keys of the interactions"):
        make_split(interactions, drugs, targets.iloc[1:], config("random"))
