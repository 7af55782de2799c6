"""Values that mean nothing are rows with a reason; ids that name several are told apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from stages.dti.chemistry.keys import drug_key, target_key
from stages.dti.data.preparation.records import prepare_records
from stages.dti.data.sources.tables import parse_affinities, parse_labels
from tests.support.raw_files import ASPIRIN, CAFFEINE, INSULIN_A, UBIQUITIN
from tests.support.raw_records import (
    CONFIG,
    DATASET,
    OTHER,
    STANDARDISE,
    given,
    prepare,
    records,
)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("12", 12),
        ("+1.5", 1.5),
        (".5", 0.5),
        ("5.", 5),
        ("1e3", 1000),
        ("2.5E-1", 0.25),
        ("-3", -3),
        ("> 7", 7),
        ("1_000", None),
        ("1,000", None),
        ("\u0661\u0662", None),  # Arabic-Indic digits
        ("\uff11\uff12", None),  # full-width digits
        ("0x10", None),
        ("infinity", None),
        ("1e999", None),
        ("1e", None),
        (">1_0", None),
    ],
)
def test_numbers_are_plain_decimals(written: str, value: float | None) -> None:
    affinity, _, text = parse_affinities(pd.Series([written], dtype=object))
    assert affinity.fillna(np.inf).tolist() == [np.inf if value is None else value]
    assert text.tolist() == [None if value is not None else written]
    if value is None:
        labels, kept = parse_labels(pd.Series([written], dtype=object))
        assert labels.isna().all()
        assert kept.tolist() == [written]


def test_an_id_of_several_sequences_is_told_apart() -> None:
    prepared = prepare(
        given(1, target_id="P1", target_name="one"),
        given(0, smiles=CAFFEINE, sequence=INSULIN_A, target_id="P1"),
        given(0, smiles="CCO", sequence=INSULIN_A[::-1], target_id="P2"),
    )
    assert prepared.targets["target_id"].tolist() == [
        f"P1~{target_key(UBIQUITIN)}",
        f"P1~{target_key(INSULIN_A)}",
        "P2",
    ]
    assert prepared.metrics.target_ids_of_several == 1
    assert prepared.metrics.drug_ids_of_several == 0
    assert len(prepared.interactions) == 3  # no row is lost


def test_an_id_of_several_structures_is_told_apart() -> None:
    prepared = prepare(
        given(1, drug_id="D1"), given(0, smiles=CAFFEINE, drug_id="D1"), given(0, smiles="CCO")
    )
    assert prepared.drugs["drug_id"].tolist() == [
        f"D1~{drug_key(ASPIRIN)}",
        f"D1~{drug_key(CAFFEINE)}",
        drug_key("CCO"),
    ]
    assert prepared.metrics.drug_ids_of_several == 1


def test_a_key_that_is_anothers_id_is_told_apart() -> None:
    prepared = prepare(given(1), given(0, smiles=CAFFEINE, drug_id=drug_key(ASPIRIN)))
    assert prepared.drugs["drug_id"].is_unique


def test_drug_names_are_carried() -> None:
    prepared = prepare(
        given(1, drug_name=None), given(1, drug_name="aspirin"), given(0, smiles=CAFFEINE)
    )
    assert prepared.drugs["drug_name"].fillna("-").tolist() == ["aspirin", "-"]


def test_form_refusals_go_before_all_others() -> None:
    row = given(1, smiles="C1CC", refusal="invalid_text", refusal_detail="drug_id is no text")
    rejected = prepare(OTHER, row).rejected.iloc[0]
    assert (rejected["reason"], rejected["detail"]) == ("invalid_text", "drug_id is no text")


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_non_positive_values_where_lower_is_stronger(value: float) -> None:
    source = DATASET.sources["kiba"]
    label = source.label.model_copy(
        update={"unit": "score", "stronger": "lower", "positive_threshold": 1.0}
    )
    sources = DATASET.sources | {"kiba": source.model_copy(update={"label": label})}
    dataset = DATASET.model_copy(update={"sources": sources})
    rows = records(OTHER, {"source": "kiba", "affinity": value})
    rejected = prepare_records(rows, dataset, CONFIG, STANDARDISE).rejected
    assert rejected["reason"].tolist() == ["invalid_affinity"]
    assert "score, where lower is stronger, must be above 0" in rejected["detail"].iloc[0]
    # A higher-is-stronger score may well be negative.
    assert prepare_records(rows, DATASET, CONFIG, STANDARDISE).rejected.empty


@pytest.mark.parametrize(
    ("written", "relation"),
    [
        ("<5", "<"),
        ("<<5", "<"),
        ("<=5", "<="),
        (">5", ">"),
        (">>5", ">"),
        (">=5", ">="),
        ("~5", "="),
        ("=5", "="),
        ("==5", "="),
        ("5", "="),
    ],
)
def test_relations(written: str, relation: str) -> None:
    affinity, found, text = parse_affinities(pd.Series([written], dtype=object))
    assert (affinity[0], found[0], text[0]) == (5.0, relation, None)


@pytest.mark.parametrize(
    ("written", "label"), [("true", 1), ("TRUE", 1), ("False", 0), ("1.0", 1), ("0", 0)]
)
def test_labels(written: str, label: int) -> None:
    labels, text = parse_labels(pd.Series([written], dtype=object))
    assert (labels[0], text[0]) == (label, None)


def test_a_pair_has_no_affinity_that_speaks_against_its_label() -> None:
    rows = [{"source": "kd", "affinity": 5.0}, given(0), given(0), OTHER]
    pairs = prepare(*rows).interactions
    assert pairs["label"].tolist() == [0, 0]
    assert pairs["affinity"].isna().all()
