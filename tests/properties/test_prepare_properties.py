"""Properties of preparation that hold for every input."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from stages.dti.chemistry.sequences import clean_sequence
from stages.dti.chemistry.standardise import standardise_smiles
from stages.dti.config.dataset import DatasetConfig, LabelRule
from stages.dti.config.prepare import PrepareConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.data.preparation.labels import label_affinities
from stages.dti.data.preparation.records import prepare_records
from stages.dti.data.sources.formats import RECORD_COLUMNS
from stages.dti.data.sources.tables import parse_affinities
from stages.dti.errors import DataError, InvalidInputError

STANDARDISE = StandardiseConfig(
    keep_largest_fragment=True,
    neutralise_charges=True,
    keep_stereochemistry=True,
    max_heavy_atoms=290,
    max_smiles_characters=4000,
    max_fragments=100,
    max_rings=100,
    max_fused_rings=16,
    min_residues=5,
    max_residues=30,
)
DRUGS = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1",
    "C[C@H](N)C(=O)O",
    "CN(C)CCC=C1c2ccccc2CCc2ccccc21",
    "O=C([O-])/C=C/C(=O)[O-].[Na+].[Na+]",
)
SEQUENCES = ("MKTAYIAKQR", "GIVEQCCTSICSLYQLENYCN", "MQIFVKTLTG")

letters = st.text(alphabet="ACDEFGHIKLMNPQRSTVWYBOUXZacj*- \n1", max_size=40)
relations = st.sampled_from(["=", "<", "<=", ">", ">="])


@given(st.sampled_from(DRUGS), st.integers(0, 2**31))
@settings(deadline=None)
def test_any_way_of_writing_a_drug_gives_one_smiles(smiles: str, seed: int) -> None:
    molecule = Chem.MolFromSmiles(smiles)
    written = Chem.MolToRandomSmilesVect(molecule, 1, randomSeed=seed % 10_000 + 1)[0]
    canonical = standardise_smiles(smiles, STANDARDISE)
    assert standardise_smiles(written, STANDARDISE) == canonical
    assert standardise_smiles(canonical, STANDARDISE) == canonical


@given(st.text(alphabet="CNOSPcnos()[]=#+-@/\\123.H *|", max_size=25))
@settings(deadline=None, max_examples=300)
def test_any_text_is_standardised_for_good_or_refused(text: str) -> None:
    try:
        canonical = standardise_smiles(text, STANDARDISE)
    except InvalidInputError:
        return
    assert standardise_smiles(canonical, STANDARDISE) == canonical
    assert Chem.MolFromSmiles(canonical) is not None


@given(letters)
def test_a_clean_sequence_is_clean(sequence: str) -> None:
    try:
        cleaned = clean_sequence(sequence, 5, 30)
    except InvalidInputError:
        return
    assert clean_sequence(cleaned, 5, 30) == cleaned
    assert 5 <= len(cleaned) <= 30


@given(
    st.floats(0.1, 1e6),
    relations,
    st.floats(0, 1),
    st.tuples(st.floats(1, 1e5), st.floats(1, 1e5)),
    st.booleans(),
    st.booleans(),
)
def test_a_labelled_bound_agrees_with_every_value_that_it_allows(
    bound: float,
    relation: str,
    position: float,
    thresholds: tuple[float, float],
    inclusive: bool,
    lower: bool,
) -> None:
    rule = LabelRule(
        rule="threshold",
        unit="score",
        stronger="lower" if lower else "higher",
        positive_threshold=min(thresholds) if lower else max(thresholds),
        negative_threshold=max(thresholds) if lower else min(thresholds),
        inclusive=inclusive,
    )

    def label(value: float, sign: str) -> float:
        signs = np.array([sign], dtype=object)
        return float(label_affinities(np.array([value]), signs, rule)[0])

    said = label(bound, relation)
    if np.isnan(said):
        return
    allowed = {
        "=": [bound],
        "<": [bound * position, np.nextafter(bound, 0)],
        "<=": [bound * position, bound],
        ">": [bound / max(position, 1e-6), np.nextafter(bound, np.inf)],
        ">=": [bound / max(position, 1e-6), bound],
    }[relation]
    for value in allowed:
        inside = value != bound or "=" in relation
        assert not inside or label(float(value), "=") == said


@given(st.floats(1e-12, 1e12), st.sampled_from(["", "<", ">", "<=", ">=", "~", "="]))
def test_a_measurement_is_read_as_it_was_written(value: float, sign: str) -> None:
    affinity, relation, bad = parse_affinities(pd.Series([f"{sign}{value!r}"], dtype=object))
    assert affinity.tolist() == [value]
    assert relation.tolist() == [sign if sign in ("<", ">", "<=", ">=") else "="]
    assert bad.tolist() == [None]


rows = st.tuples(
    st.sampled_from([*DRUGS, "[Na+].CC(=O)Oc1ccccc1C(=O)[O-]", "C1CC", None]),
    st.sampled_from([*SEQUENCES, SEQUENCES[0].lower(), "MKJ", None]),
    st.sampled_from(["given", "kd"]),
    st.sampled_from([0.0, 1.0, 50.0, 500.0, 50000.0, float("nan")]),
    relations,
    st.sampled_from(["train", "val", "test", None]),
)


@given(
    st.lists(rows, min_size=1, max_size=25),
    st.sampled_from(["median", "strongest"]),
    st.sampled_from(["majority", "reject"]),
)
@settings(deadline=None, max_examples=30)
def test_nothing_disappears_and_pairs_are_unique(
    drawn: list[tuple[str | None, str | None, str, float, str, str | None]],
    on_affinity_conflict: str,
    on_label_conflict: str,
) -> None:
    source = {"format": "pairs", "files": {"pairs": {"url": "a"}}}
    threshold = {"rule": "threshold", "unit": "nM", "stronger": "lower"}
    threshold |= {"positive_threshold": 100, "negative_threshold": 10000}
    dataset = DatasetConfig.model_validate(
        {
            "sources": {
                "given": source | {"columns": {"label": "y"}, "label": {"rule": "given"}},
                "kd": source | {"columns": {"affinity": "y"}, "label": threshold},
            }
        }
    )
    table = pd.DataFrame(
        [
            dict.fromkeys(RECORD_COLUMNS)
            | {"source": name, "file": "a.csv", "source_row": number, "relation": relation}
            | {"smiles": smiles, "sequence": sequence, "published_split": split}
            | {"affinity": value if name == "kd" else np.nan}
            | {"label": value if name == "given" and value <= 1 else np.nan}
            for number, (smiles, sequence, name, value, relation, split) in enumerate(drawn)
        ]
    ).astype({"affinity": float, "label": float})
    config = PrepareConfig.model_validate(
        {"on_affinity_conflict": on_affinity_conflict, "on_label_conflict": on_label_conflict}
    )
    try:
        prepared = prepare_records(table, dataset, config, STANDARDISE)
    except DataError:  # every row was refused
        return
    pairs, rejected = prepared.interactions, prepared.rejected
    assert int(pairs["source_rows"].sum()) + len(rejected) == len(drawn)
    assert not pairs[["drug_key", "target_key"]].duplicated().any()
    assert pairs["label"].isin((0, 1)).all()
    assert set(pairs["drug_key"]) == set(prepared.drugs["drug_key"])
    assert set(pairs["target_key"]) == set(prepared.targets["target_key"])
    assert prepared.drugs["smiles"].is_unique
    assert prepared.targets["sequence"].is_unique
    assert rejected["reason"].notna().all()
    assert (rejected["detail"].str.len() > 0).all()
    assert rejected["source_row"].is_monotonic_increasing
    # The order of the rows changes no label and no count.
    again = prepare_records(table.iloc[::-1], dataset, config, STANDARDISE)
    by_pair = ["drug_key", "target_key", "label", "source_rows", "published_split"]
    ordered = [part[by_pair].sort_values(by_pair[:2]) for part in (pairs, again.interactions)]
    pd.testing.assert_frame_equal(*[part.reset_index(drop=True) for part in ordered])
