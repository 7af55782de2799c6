"""The leakage report: its numbers by hand, and each claim broken once and kept once."""

from __future__ import annotations

import json
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from stages.dti.config.split import SplitConfig
from stages.dti.data.splitting.leakage import leakage_report
from stages.dti.errors import LeakageError
from tests.support.split_tables import (
    KINDS,
    Tables,
    config,
    grid,
    parts_of,
    sample,
    smiles_and_sequences,
    tables,
    with_parts,
)

SMILES, SEQUENCES = smiles_and_sequences(60, 30)
PHENOL, CRESOL, ETHANOL, INDOLE = "Oc1ccccc1", "Cc1ccc(O)cc1", "CCO", "c1ccc2[nH]ccc2c1"
PROPANOL, PYRIDINE = "CCCO", "c1ccncc1"


def report(whole: Tables, parts: list[str] | np.ndarray, settings: SplitConfig) -> dict:
    return leakage_report(with_parts(whole, parts), *whole, settings).plain()


@cache
def parts_of_sample(kind: str) -> tuple[str, ...]:
    return tuple(parts_of(sample(), config(kind)))


@cache
def report_of_sample(kind: str) -> dict:
    return report(sample(), list(parts_of_sample(kind)), config(kind))


def block(smiles: list[str], sequences: list[str], parts: dict[tuple[int, int], str]) -> tuple:
    """A table of the named (drug, target) pairs with their parts; labels alternate."""
    rows = [
        (smiles[drug], sequences[target], number % 2, None)
        for number, (drug, target) in enumerate(parts)
    ]
    frame = pd.DataFrame(rows, columns=["smiles", "sequence", "label", "published_split"])
    return tables(frame), list(parts.values())


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_splitter_makes_keeps_its_claims(kind: str) -> None:
    found = report_of_sample(kind)
    assert all(claim["passed"] for claim in found["claims"])
    assert sum(part["pairs"] for part in found["parts"].values()) == 5000
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "claims"),
    [
        ("random", {"stratified"}),
        ("cold_drug", {"drugs_disjoint"}),
        ("cold_target", {"targets_disjoint"}),
        ("cold_pair", {"drugs_disjoint", "targets_disjoint"}),
        ("scaffold", {"drugs_disjoint", "scaffolds_disjoint"}),
        (
            "cluster",
            {"drugs_disjoint", "targets_disjoint", "drug_similarity", "target_similarity"},
        ),
        ("published", {"as_published", "overlap_fraction"}),
    ],
)
def test_each_kind_is_held_to_its_claims(kind: str, claims: set[str]) -> None:
    assert {claim["name"] for claim in report_of_sample(kind)["claims"]} == {
        "parts_known",
        "pairs_disjoint",
        "validation_fold",
        *claims,
    }


def test_counts_overlaps_and_seen_fractions_by_hand() -> None:
    whole, parts = block(
        SMILES,
        SEQUENCES,
        {
            (0, 0): "train",
            (0, 1): "train",
            (1, 0): "train",
            (1, 1): "train",
            (0, 2): "test",  # drug seen
            (2, 0): "test",  # target seen
            (2, 2): "test",  # neither
            (1, 2): "val",
            (3, 0): "val",
        },
    )
    found = report(whole, parts, config("random"))
    assert found["parts"]["train"] == {
        "pairs": 4,
        "drugs": 2,
        "targets": 2,
        "positives": 2,
        "prevalence": 0.5,
        "fraction_of_all": round(4 / 9, 6),
    }
    assert found["parts"]["unused"]["prevalence"] is None
    assert found["overlap"] == {
        "test_train": {"pairs": 0, "drugs": 1, "targets": 1},
        "val_train": {"pairs": 0, "drugs": 1, "targets": 1},
        "test_val": {"pairs": 0, "drugs": 0, "targets": 2},
    }
    assert found["test_pairs"] == {
        "drug_seen_fraction": round(1 / 3, 6),
        "target_seen_fraction": round(1 / 3, 6),
        "both_seen_fraction": 0.0,
        "neither_seen_fraction": round(1 / 3, 6),
    }


def test_similarity_is_summarised_over_test_pairs() -> None:
    """Drugs against RDKit's own similarity; targets seen are exactly 1."""
    whole = grid(SMILES[:12], SEQUENCES[:8])
    drug = whole.interactions["drug_key"].map(
        dict(zip(whole.drugs["drug_key"], range(12), strict=True))
    )
    parts = np.select([drug < 8, drug < 10], ["train", "val"], "test")
    found = report(whole, parts, config("cold_drug"))["nearest_train_similarity"]

    generator = GetMorganGenerator(radius=2, fpSize=2048)
    vectors = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in SMILES[:12]]
    nearest = [max(DataStructs.BulkTanimotoSimilarity(v, vectors[:8])) for v in vectors[10:]]
    expected = np.repeat(nearest, 8)
    quantiles = found["drug"]["quantiles"]
    assert quantiles["median"] == pytest.approx(np.median(expected), abs=1e-5)
    assert quantiles["max"] == pytest.approx(max(nearest), abs=1e-5)
    histogram = found["drug"]["histogram"]
    assert histogram["pairs"] == np.histogram(expected, histogram["edges"])[0].tolist()
    assert set(found["target"]["quantiles"].values()) == {1.0}
    joint = np.array(found["joint"]["pairs"])
    assert joint.sum() == 16
    assert joint[:, -1].sum() == 16


def test_an_unseen_drug_that_no_fingerprint_can_tell_apart_is_counted() -> None:
    left, right = "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"
    whole, parts = block(
        [left, right, INDOLE, PHENOL],
        SEQUENCES,
        {(0, 0): "train", (3, 0): "train", (2, 0): "val", (2, 1): "val"}
        | {(1, 0): "test", (1, 1): "test"},
    )
    found = report(whole, parts, config("cold_drug"))
    assert found["nearest_train_similarity"]["drug"]["unseen_but_identical_pairs"] == 2


def broken(whole: Tables, parts: list[str] | np.ndarray, settings: SplitConfig) -> str:
    with pytest.raises(LeakageError) as error:
        report(whole, parts, settings)
    assert f"split {settings.kind} is not what its name claims" in str(error.value)
    return str(error.value)


def test_a_pair_in_two_parts_fails() -> None:
    whole = grid(SMILES[:6], SEQUENCES[:6])
    doubled = Tables(
        pd.concat([whole.interactions, whole.interactions.iloc[[0]]], ignore_index=True),
        whole.drugs,
        whole.targets,
    )
    parts = ["train"] * 28 + ["val"] * 4 + ["test"] * 5
    message = broken(doubled, parts, config("random"))
    assert "pairs_disjoint" in message
    assert "found 1, at most 0" in message
    assert whole.interactions["drug_key"][0] in message


def test_an_unknown_part_and_an_unused_pair_of_random_fail() -> None:
    whole = grid(SMILES[:6], SEQUENCES[:6])
    parts = parts_of(whole, config("random"))
    for stranger in ("unused", "Train"):
        parts[parts == "val"] = stranger
        assert "parts_known" in broken(whole, parts, config("random"))


def test_random_that_is_not_stratified_fails() -> None:
    whole = grid(SMILES[:10], SEQUENCES[:10])
    positive = whole.interactions["label"].to_numpy() == 1
    parts = np.full(100, "train", dtype=object)
    parts[np.flatnonzero(positive)[:10]] = "test"
    parts[np.flatnonzero(~positive)[:10]] = "val"
    assert "stratified" in broken(whole, parts, config("random"))


@pytest.mark.parametrize("guilty", [("test", "train"), ("val", "train"), ("test", "val")])
@pytest.mark.parametrize(
    ("kind", "column", "claim"),
    [
        ("cold_drug", "drug_key", "drugs_disjoint"),
        ("cold_target", "target_key", "targets_disjoint"),
        ("cold_pair", "drug_key", "drugs_disjoint"),
        ("cold_pair", "target_key", "targets_disjoint"),
        ("scaffold", "drug_key", "drugs_disjoint"),
        ("cluster", "drug_key", "drugs_disjoint"),
        ("cluster", "target_key", "targets_disjoint"),
    ],
)
def test_one_shared_drug_or_target_fails(
    kind: str, column: str, claim: str, guilty: tuple[str, str]
) -> None:
    whole = sample()
    parts = np.array(parts_of_sample(kind), dtype=object)
    part, other = guilty
    keys = whole.interactions[column]
    inside = whole.interactions[parts == part]
    shared = inside[column][inside[column].duplicated(keep=False)].iloc[0]
    moved = np.flatnonzero((keys == shared) & (parts == part))[0]
    parts[moved] = other
    message = broken(whole, parts, config(kind))
    assert f"{claim}:" in message
    assert shared in message


def test_a_shared_scaffold_fails_though_the_drugs_differ() -> None:
    smiles = [PHENOL, CRESOL, INDOLE, PYRIDINE]
    pairs = product(range(4), range(2))
    whole, _ = block(smiles, SEQUENCES, dict.fromkeys(pairs, ""))
    apart = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    assert report(whole, apart, config("scaffold"))
    torn = ["train"] * 2 + ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    message = broken(whole, torn, config("scaffold"))
    assert "scaffolds_disjoint" in message
    assert "such as c1ccccc1" in message
    assert report(whole, torn, config("cold_drug"))


def test_acyclic_drugs_may_stand_in_different_parts_of_a_scaffold_split() -> None:
    whole, _ = block(
        [ETHANOL, PROPANOL, PHENOL], SEQUENCES, dict.fromkeys(product(range(3), range(2)), "")
    )
    parts = ["train"] * 2 + ["test"] * 2 + ["val"] * 2
    assert report(whole, parts, config("scaffold"))


@pytest.mark.parametrize("guilty", [("test", "train"), ("val", "train"), ("test", "val")])
def test_a_drug_above_the_threshold_fails(guilty: tuple[str, str]) -> None:
    """Cold by drug and target, but two parts hold near-identical drugs."""
    part, other = guilty
    third = ({"train", "val", "test"} - {part, other}).pop()
    smiles = [PHENOL, CRESOL, INDOLE]
    whole, parts = block(smiles, SEQUENCES, {(0, 0): part, (1, 1): other, (2, 2): third})
    message = broken(whole, parts, config("cluster", cluster_drug_similarity=0.3))
    assert "drug_similarity" in message
    assert "target_similarity" not in message
    assert report(whole, parts, config("cluster", cluster_drug_similarity=0.6))
    assert report(whole, parts, config("cold_pair"))


@pytest.mark.parametrize("guilty", [("test", "train"), ("val", "train"), ("test", "val")])
def test_a_target_above_the_threshold_fails(guilty: tuple[str, str]) -> None:
    part, other = guilty
    third = ({"train", "val", "test"} - {part, other}).pop()
    mutant = SEQUENCES[0][:50] + "A" + SEQUENCES[0][51:]
    whole, parts = block(
        [PHENOL, INDOLE, ETHANOL],
        [SEQUENCES[0], mutant, SEQUENCES[4]],
        {(0, 0): part, (1, 1): other, (2, 2): third},
    )
    message = broken(whole, parts, config("cluster"))
    assert "target_similarity" in message
    assert "drug_similarity" not in message
    assert report(whole, parts, config("cluster", cluster_target_similarity=1.0))
    assert report(whole, parts, config("cold_pair"))


def test_a_similarity_exactly_at_the_threshold_is_allowed() -> None:
    smiles = [PHENOL, CRESOL, INDOLE]
    whole, parts = block(smiles, SEQUENCES, {(0, 0): "train", (1, 1): "test", (2, 2): "val"})
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    first, second = (generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in smiles[:2])
    exact = DataStructs.TanimotoSimilarity(first, second)
    assert report(whole, parts, config("cluster", cluster_drug_similarity=exact))
    assert "drug_similarity" in broken(
        whole, parts, config("cluster", cluster_drug_similarity=exact - 1e-6)
    )


def test_drugs_of_unused_pairs_may_be_similar_to_anything() -> None:
    smiles = [PHENOL, CRESOL, INDOLE, ETHANOL]
    whole, parts = block(
        smiles,
        SEQUENCES,
        {(0, 0): "train", (1, 0): "unused", (2, 1): "val", (3, 2): "test"},
    )
    settings = config("cluster", cluster_drug_similarity=0.3)
    assert report(whole, parts, settings)["parts"]["unused"]["pairs"] == 1


def published(names: list[str | None]) -> Tables:
    pairs = pd.DataFrame({"smiles": SMILES[: len(names)], "sequence": SEQUENCES[0]})
    pairs["label"] = [i % 2 for i in range(len(names))]
    return tables(pairs.assign(published_split=names))


def test_a_published_pair_that_was_moved_fails() -> None:
    whole = published(["train"] * 6 + ["val"] * 2 + ["test"] * 2)
    parts = ["train"] * 5 + ["test"] + ["val"] * 2 + ["test"] * 2
    message = broken(whole, parts, config("published"))
    assert "as_published" in message
    assert whole.interactions["drug_key"][5] in message


def test_a_published_train_pair_may_not_be_carved_if_validation_is_published() -> None:
    whole = published(["train"] * 6 + ["val"] * 2 + ["test"] * 2)
    parts = ["train"] * 5 + ["val"] * 3 + ["test"] * 2
    assert "as_published" in broken(whole, parts, config("published"))
    whole = published(["train"] * 8 + ["test"] * 2)
    found = report(whole, parts, config("published"))
    assert found["validation_carved_from_train"] is True


def test_published_test_pairs_repeated_in_train_fail_above_the_limit() -> None:
    whole = published(["train"] * 6 + ["val"] * 2 + ["train+test"] + ["test"] * 3)
    parts = ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    message = broken(whole, parts, config("published"))
    assert "overlap_fraction" in message
    assert "found 0.25, at most 0 allowed" in message
    assert "split.max_overlap_fraction" in message
    assert "found 0.25" in broken(whole, parts, config("published", max_overlap_fraction=0.24))
    found = report(whole, parts, config("published", max_overlap_fraction=0.25))
    assert found["validation_carved_from_train"] is False


def test_a_published_name_that_is_no_part_fails() -> None:
    whole = published(["train"] * 6 + ["validation"] * 2 + ["test"] * 2)
    parts = parts_of(whole, config("published"))
    assert "as_published" in broken(whole, parts, config("published"))


def test_other_rows_than_the_interactions_fail() -> None:
    whole = grid(SMILES[:6], SEQUENCES[:6])
    splits = with_parts(whole, parts_of(whole, config("random")))
    for altered in (splits.iloc[:-1], splits.iloc[::-1]):
        with pytest.raises(LeakageError, match="not the same pairs in the same order"):
            leakage_report(altered, *whole, config("random"))
