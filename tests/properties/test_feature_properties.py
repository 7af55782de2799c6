"""Features of a drug or target are its own, whatever stands beside it; odd input never raises."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.dti.config.features import FeaturesConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import Scaler
from stages.dti.features.targets import (
    AMINO_ACIDS,
    RESIDUE_ALPHABET,
    featurize_targets,
    sequences_of,
    target_descriptor_names,
)

CONFIG = FeaturesConfig(fingerprint_radius=2, fingerprint_bits=128, max_residues=40, kmer_bins=32)
NAMES = target_descriptor_names(CONFIG.kmer_bins)

VALID = [
    "CCO",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "C[N+](C)(C)CC(=O)[O-]",
    "[Na+].[Cl-]",
    "C/C=C/C(=O)O",
    "O=C(O)[C@@H](N)Cc1c[nH]c2ccccc12",
    "FS(F)(F)(F)(F)F",
    "*",
    "[U]",
]
drugs = st.one_of(st.sampled_from(VALID), st.text(max_size=12))
sequences = st.one_of(
    st.text(alphabet=RESIDUE_ALPHABET, min_size=1, max_size=80), st.text(max_size=8)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(drugs, max_size=6))
def test_drugs_are_featurized_as_if_alone(smiles: list[str]) -> None:
    together, rejected = featurize_drugs(smiles, CONFIG)
    assert len(together) + len(rejected) == len(smiles)
    valid = [text for position, text in enumerate(smiles) if position not in rejected]
    for row, text in enumerate(valid):
        alone, none = featurize_drugs([text], CONFIG)
        assert not none
        atoms = slice(*together.atom_offsets[row : row + 2])
        bonds = slice(*together.bond_offsets[row : row + 2])
        assert np.array_equal(together.atoms[atoms], alone.atoms)
        assert np.array_equal(together.bonds[bonds], alone.bonds)
        assert np.array_equal(together.fingerprints[row], alone.fingerprints[0])
        assert np.array_equal(together.descriptors[row], alone.descriptors[0])
        assert np.isfinite(alone.descriptors).all()
        if len(alone.bonds):
            assert alone.bonds.max() < len(alone.atoms)
    assert all(reason for reason in rejected.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(sequences, max_size=5))
def test_targets_are_featurized_as_if_alone(texts: list[str]) -> None:
    together, rejected = featurize_targets(texts, CONFIG)
    assert set(rejected) == {
        position
        for position, text in enumerate(texts)
        if not text or set(text) - {*RESIDUE_ALPHABET}
    }
    valid = [text for position, text in enumerate(texts) if position not in rejected]
    assert sequences_of(together.residues, together.residue_offsets) == [
        text[: CONFIG.max_residues] for text in valid
    ]
    for row, text in enumerate(valid):
        alone, _ = featurize_targets([text], CONFIG)
        assert np.array_equal(together.descriptors[row], alone.descriptors[0])


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=RESIDUE_ALPHABET, min_size=1, max_size=300))
def test_sequence_descriptors_are_finite_and_add_up(sequence: str) -> None:
    row = featurize_targets([sequence], CONFIG)[0].descriptors[0]
    assert np.isfinite(row).all()
    values = dict(zip(NAMES, row.tolist(), strict=True))
    composition = sum(values[f"fraction_{letter}"] for letter in AMINO_ACIDS)
    assert np.isclose(composition + values["nonstandard_fraction"], 1, atol=1e-5)
    assert values["residues"] == len(sequence)
    assert 0 <= values["isoelectric_point"] <= 14


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1),
    st.data(),
)
def test_scaling_a_row_does_not_depend_on_the_others(
    values: list[list[float]], data: st.DataObject
) -> None:
    rows = np.array(values, dtype=np.float32)
    scaler = Scaler.fit(rows)
    assert all(np.isfinite(getattr(scaler, field.name)).all() for field in fields(scaler))
    whole = scaler.transform(rows)
    row = data.draw(st.integers(0, len(rows) - 1))
    assert np.array_equal(scaler.transform(rows[[row]])[0], whole[row])
