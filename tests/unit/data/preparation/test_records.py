"""From raw records to pairs: refusals, labels, duplicates, conflicts, and counts that add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stages.dti.chemistry.keys import drug_key, target_key
from stages.dti.config.dataset import LabelRule
from stages.dti.data.preparation.labels import label_affinities, merge_measurements
from stages.dti.data.preparation.records import prepare_records
from stages.dti.errors import DataError
from tests.support.raw_files import ASPIRIN, CAFFEINE, INSULIN_A, UBIQUITIN
from tests.support.raw_records import (
    ASPIRIN_SALT,
    CONFIG,
    DATASET,
    KD,
    KIBA,
    OTHER,
    STANDARDISE,
    given,
    kd,
    prepare,
    records,
)


def test_unique_drugs_targets_and_pairs_in_order_of_first_appearance() -> None:
    prepared = prepare(
        given(0, smiles=CAFFEINE, drug_id="DB00201", sequence=INSULIN_A),
        given(1, smiles=ASPIRIN_SALT, target_name="ubiquitin"),
        given(1, drug_id="DB00945", sequence=f" {UBIQUITIN.lower()}", organism="human"),
        given(1, sequence=INSULIN_A, target_id="P01308"),
    )
    drugs, targets, interactions = prepared.drugs, prepared.targets, prepared.interactions
    assert drugs["smiles"].tolist() == [CAFFEINE, ASPIRIN]
    assert drugs["drug_key"].tolist() == [drug_key(CAFFEINE), drug_key(ASPIRIN)]
    assert drugs["drug_id"].tolist() == ["DB00201", "DB00945"]
    assert drugs["heavy_atoms"].tolist() == [14, 13]
    assert targets["sequence"].tolist() == [INSULIN_A, UBIQUITIN]
    assert targets["target_id"].tolist() == ["P01308", target_key(UBIQUITIN)]
    assert targets["residues"].tolist() == [21, 76]
    assert targets["target_name"].fillna("-").tolist() == ["-", "ubiquitin"]
    assert targets["organism"].fillna("-").tolist() == ["-", "human"]
    assert interactions["drug_key"].tolist() == drugs["drug_key"].iloc[[0, 1, 1]].tolist()
    assert interactions["target_key"].tolist() == targets["target_key"].iloc[[0, 1, 0]].tolist()
    assert interactions["label"].tolist() == [0, 1, 1]
    assert interactions["source_rows"].tolist() == [1, 2, 1]
    assert interactions["affinity"].isna().all()
    assert interactions["affinity_unit"].isna().all()
    assert prepared.metrics.plain() == {
        "rows_read": 4,
        "rows_rejected": 0,
        "rows_merged": 1,
        "pairs": 3,
        "drugs": 2,
        "targets": 2,
        "positives": 2,
        "prevalence": 2 / 3,
        "drug_ids_of_several": 0,
        "target_ids_of_several": 0,
        "label_conflicts": 0,
        "published_split_conflicts": 0,
        "rejected_by_reason": {},
    }


@pytest.mark.parametrize(
    ("row", "reason", "detail"),
    [
        (
            given(1, refusal="multichain_target", refusal_detail="it has several chains"),
            "multichain_target",
            "it has several chains",
        ),
        (given(1, smiles=None, drug_id="D7"), "missing_smiles", "there is no SMILES for D7"),
        (given(1, smiles=None), "missing_smiles", "there is no SMILES"),
        (given(1, smiles="C1CC"), "invalid_smiles", "SMILES syntax error"),
        (
            given(1, sequence=None, target_id="P1"),
            "missing_sequence",
            "there is no sequence for P1",
        ),
        (given(1, sequence="MKTA"), "invalid_sequence", "4 residues, fewer than 20"),
        ({}, "missing_label", "there is no label"),
        ({"label_text": "yes"}, "invalid_label", "'yes' is not 0 or 1"),
        ({"source": "kd"}, "missing_affinity", "there is no affinity"),
        (
            {"source": "kd", "affinity_text": "n.d."},
            "invalid_affinity",
            "'n.d.' is not a number",
        ),
        (
            kd(0),
            "invalid_affinity",
            "an affinity in nM, where lower is stronger, must be above 0",
        ),
        (kd(500), "undecided_affinity", "500 nM is neither positive nor negative"),
        (kd(50, ">"), "undecided_affinity", ">50 nM is neither positive nor negative"),
    ],
)
def test_refused_rows_keep_what_they_said(row: dict[str, Any], reason: str, detail: str) -> None:
    prepared = prepare(OTHER, row)
    rejected = prepared.rejected.iloc[0]
    assert (rejected["reason"], rejected["detail"]) == (reason, detail)
    assert rejected["source_row"] == 2
    assert rejected["smiles"] == row.get("smiles", ASPIRIN)
    assert rejected["sequence"] == row.get("sequence", UBIQUITIN)
    assert prepared.metrics.rejected_by_reason == {reason: 1}
    # A refused row's drug and target leave no trace among those that are used.
    assert prepared.drugs["smiles"].tolist() == [CAFFEINE]


def test_refused_values_stand_as_text() -> None:
    rejected = prepare(OTHER, kd(500), kd(50, ">", smiles="C1CC"), given(1, smiles="C1CC")).rejected
    assert rejected["affinity_text"].fillna("-").tolist() == ["500", ">50", "-"]
    assert rejected["label_text"].fillna("-").tolist() == ["-", "-", "1"]


def test_invalid_smiles_in_a_tenth_of_the_rows() -> None:
    rows = [given(number % 2, smiles="C" * (number + 1)) for number in range(90)]
    rows[9:9] = [given(1, smiles="C1CC")] * 10
    prepared = prepare(*rows)
    assert prepared.metrics.rejected_by_reason == {"invalid_smiles": 10}
    assert prepared.rejected["source_row"].tolist() == list(range(10, 20))


@pytest.mark.parametrize(
    ("labels", "on_conflict", "expected"),
    [
        ((1, 1, 0), "majority", 1),
        ((1, 0, 0), "majority", 0),
        ((1, 0), "majority", None),
        ((1, 1, 0), "reject", None),
        ((1, 1), "reject", 1),
    ],
)
def test_given_labels_in_conflict(
    labels: tuple[int, ...], on_conflict: str, expected: int | None
) -> None:
    prepared = prepare(OTHER, *map(given, labels), on_label_conflict=on_conflict)
    conflict = len(set(labels)) > 1
    assert prepared.metrics.label_conflicts == int(conflict)
    if expected is None:
        ones = sum(labels)
        assert prepared.rejected["reason"].unique().tolist() == ["conflicting_labels"]
        detail = f"of the pair's rows {ones} say 1 and {len(labels) - ones} say 0"
        assert prepared.rejected["detail"].unique().tolist() == [detail]
        assert len(prepared.interactions) == 1
    else:
        pair = prepared.interactions.iloc[1]
        assert (pair["label"], pair["source_rows"]) == (expected, len(labels))


@pytest.mark.parametrize(
    ("rows", "statistic", "affinity", "relation", "label"),
    [
        ([kd(10), kd(30), kd(20000)], "median", 30, "=", 1),
        ([kd(10), kd(30)], "median", 20, "=", 1),
        ([kd(20000), kd(30)], "strongest", 30, "=", 1),
        ([kd(10000, ">")], "median", 10000, ">", 0),
        ([kd(100, "<")], "median", 100, "<", 1),
        # Exact values count before bounds.
        ([kd(10000, ">"), kd(50), kd(10000, ">")], "median", 50, "=", 1),
        ([kd(20000, ">"), kd(10000, ">=")], "median", 15000, ">=", 0),
    ],
)
def test_measurements_of_a_pair_are_reduced_and_then_labelled(
    rows: list[dict[str, Any]], statistic: str, affinity: float, relation: str, label: int
) -> None:
    prepared = prepare(*rows, on_affinity_conflict=statistic)
    pair = prepared.interactions.iloc[0]
    assert (pair["affinity"], pair["affinity_relation"]) == (affinity, relation)
    assert (pair["affinity_unit"], pair["label"]) == ("nM", label)
    assert pair["source_rows"] == len(rows)


def test_a_pair_between_the_thresholds_is_refused_whole() -> None:
    prepared = prepare(OTHER, kd(10), kd(5000))
    assert prepared.rejected["reason"].tolist() == ["undecided_affinity"] * 2
    assert prepared.rejected["detail"].unique().tolist() == [
        "2505 nM is neither positive nor negative (all rows of the pair together)"
    ]


def test_bounds_in_both_directions_are_refused() -> None:
    prepared = prepare(OTHER, kd(10, "<"), kd(10000, ">"))
    assert prepared.rejected["reason"].tolist() == ["contradictory_affinity"] * 2


def test_sources_are_joined_and_every_row_has_a_vote() -> None:
    prepared = prepare(
        kd(50),
        {"source": "kiba", "affinity": 12.1},
        given(0),
        given(0, smiles=CAFFEINE),
        {"source": "kiba", "affinity": 12.0, "smiles": CAFFEINE},
        kd(50, smiles=CAFFEINE),
    )
    aspirin, caffeine = prepared.interactions.to_dict("records")
    assert (aspirin["label"], aspirin["source"]) == (1, "kd+kiba+given")
    assert (aspirin["affinity"], aspirin["affinity_unit"]) == (50, "nM")
    # The source that disagrees with the label does not lend its affinity.
    assert (caffeine["label"], caffeine["source"]) == (0, "given+kiba+kd")
    assert (caffeine["affinity"], caffeine["affinity_unit"]) == (12.0, "KIBA score")
    assert prepared.metrics.label_conflicts == 2


@pytest.mark.parametrize(
    ("splits", "expected", "conflicts"),
    [
        (["train", "test", "val"], "test+val+train", 1),
        (["train", "val"], "val+train", 1),
        (["train", "train", None], "train", 0),
        ([None, None], None, 0),
    ],
)
def test_a_pair_of_several_published_parts(
    splits: list[str | None], expected: str | None, conflicts: int
) -> None:
    prepared = prepare(*(given(1, published_split=split) for split in splits))
    published = prepared.interactions["published_split"].iloc[0]
    assert (published if isinstance(published, str) else None) == expected
    assert prepared.metrics.published_split_conflicts == conflicts


def test_no_valid_row_is_an_error_that_says_why() -> None:
    rows = [{"source": "kd", "affinity_text": "pKd 7"}, kd(5, smiles="C1CC"), kd(500, smiles="C")]
    message = (
        "not one of 3 rows can be used: .*1 × invalid_affinity.* The first, row 1 of kd/pairs.csv: "
        "'pKd 7' is not a number. Check the data set's columns"
    )
    with pytest.raises(DataError, match=message):
        prepare_records(records(*rows), DATASET, CONFIG, STANDARDISE)


@pytest.mark.parametrize(
    ("rule", "cases"),
    [
        (  # positive strictly below 100, negative strictly above 10,000
            KD,
            {
                ("=", 99.9): 1,
                ("=", 100): None,
                ("=", 10000): None,
                ("=", 10000.1): 0,
                ("<", 100): 1,
                ("<=", 100): None,
                ("<", 50): 1,
                ("<", 20000): None,
                (">", 50): None,
                (">", 10000): 0,
                (">=", 10000): None,
                (">=", 10001): 0,
            },
        ),
        (  # 12.1 itself is positive
            KIBA,
            {
                ("=", 12.1): 1,
                ("=", 12.0999): 0,
                (">", 12.1): 1,
                (">=", 12.1): 1,
                ("<", 12.1): 0,
                ("<=", 12.1): None,
                (">", 11): None,
                ("<", 13): None,
            },
        ),
        (  # 12.1 itself is negative
            KIBA.model_copy(update={"inclusive": False}),
            {("=", 12.1): 0, (">", 12.1): 1, (">=", 12.1): None, ("<=", 12.1): 0},
        ),
        (  # both thresholds belong to their class
            KD.model_copy(update={"inclusive": True}),
            {("=", 100): 1, ("=", 10000): 0, ("<=", 100): 1, (">=", 10000): 0, ("=", 101): None},
        ),
    ],
)
def test_a_bound_is_labelled_only_if_it_decides(
    rule: LabelRule, cases: dict[tuple[str, float], int | None]
) -> None:
    relations = np.array([relation for relation, _ in cases], dtype=object)
    values = np.array([value for _, value in cases], dtype=np.float64)
    labels = label_affinities(values, relations, rule)
    found = [None if np.isnan(label) else int(label) for label in labels]
    assert dict(zip(cases, found, strict=True)) == cases


def test_merged_bounds_are_open_only_if_all_are() -> None:
    merged = merge_measurements(
        np.array([7, 7, 3, 3]),
        np.array([1.0, 2.0, 5.0, 9.0]),
        np.array(["<", "<", ">", ">="], dtype=object),
        KIBA,
        "strongest",
    )
    assert merged.index.tolist() == [3, 7]
    assert merged["relation"].tolist() == [">=", "<"]
    assert merged["affinity"].tolist() == [9.0, 2.0]
    assert not merged["contradictory"].any()
