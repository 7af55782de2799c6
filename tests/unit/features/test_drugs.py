"""features/drugs.py: graphs, fingerprints and descriptors of real molecules."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from stages.dti.chemistry.fingerprints import morgan_fingerprints
from stages.dti.config.features import FeaturesConfig
from stages.dti.errors import InvalidInputError
from stages.dti.features import drugs
from stages.dti.features.drugs import (
    ATOM_FEATURES,
    DESCRIPTOR_LIMIT,
    DRUG_DESCRIPTORS,
    featurize_drugs,
)
from stages.dti.features.store import ATOM_DIM, DrugFeatures

CONFIG = FeaturesConfig(
    fingerprint_radius=2, fingerprint_bits=2048, max_residues=1200, kmer_bins=1024
)
CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
IMATINIB = "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1"


def same(a: DrugFeatures, b: DrugFeatures) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def test_without_descriptors_all_else_is_the_same() -> None:
    smiles = [CAFFEINE, "not a molecule", ASPIRIN]
    whole, refused = featurize_drugs(smiles, CONFIG)
    some, refused_too = featurize_drugs(smiles, CONFIG, with_descriptors=False)
    assert refused == refused_too
    assert some.descriptors.shape == (2, 0)
    for field in fields(whole):
        if field.name != "descriptors":
            np.testing.assert_array_equal(getattr(some, field.name), getattr(whole, field.name))


def set_columns(smiles: str, atom: int) -> dict[str, int]:
    """Names and values of an atom's features that are not 0."""
    row = drugs.atom_features(Chem.MolFromSmiles(smiles))[atom]
    return {ATOM_FEATURES[column]: int(row[column]) for column in np.flatnonzero(row)}


def test_ethanol_is_as_dgllife_documents_it() -> None:
    # The example in the docstring of dgllife.utils.CanonicalAtomFeaturizer.
    features, _ = featurize_drugs(["CCO"], CONFIG)
    assert features.atoms.dtype == np.int8
    assert [np.flatnonzero(row).tolist() for row in features.atoms] == [
        [0, 44, 57, 65, 72],
        [0, 45, 56, 65, 71],
        [2, 44, 55, 65, 70],
    ]
    assert len(ATOM_FEATURES) == ATOM_DIM == 74


def test_charges_keep_their_sign() -> None:
    assert set_columns("C[N+](C)(C)CC(=O)[O-]", 1)["formal_charge"] == 1
    assert set_columns("C[N+](C)(C)CC(=O)[O-]", 7)["formal_charge"] == -1
    assert set_columns("[Ti+4]", 0)["formal_charge"] == 4


def test_radicals_hybridisation_and_aromaticity() -> None:
    assert set_columns("[CH3]", 0)["radical_electrons"] == 1
    assert set_columns("FS(F)(F)(F)(F)F", 1) == {
        "element_S": 1,
        "degree_6": 1,
        "implicit_valence_0": 1,
        "hybridisation_SP3D2": 1,
        "hydrogens_0": 1,
    }
    assert set_columns("c1cc[nH]c1", 3)["aromatic"] == 1
    # Pyrrole's hydrogen is written out: it counts as a hydrogen, not as implicit valence.
    assert "hydrogens_1" in set_columns("c1cc[nH]c1", 3)
    assert "implicit_valence_0" in set_columns("c1cc[nH]c1", 3)


def test_an_element_outside_the_list_sets_no_element() -> None:
    assert not any(name.startswith("element_") for name in set_columns("[U]", 0))


def test_every_bond_stands_once() -> None:
    features, _ = featurize_drugs(["C1CC1O", "[Na+].[Cl-]", "c1ccccc1"], CONFIG)
    assert features.bonds.dtype == np.int32
    assert features.bond_offsets.tolist() == [0, 4, 4, 10]
    assert features.atom_offsets.tolist() == [0, 4, 6, 12]
    first = {frozenset(bond) for bond in features.bonds[:4].tolist()}
    assert first == {frozenset(pair) for pair in [(0, 1), (1, 2), (2, 0), (2, 3)]}


def test_fingerprints_are_rdkits_bits_packed() -> None:
    packed = morgan_fingerprints([CAFFEINE, IMATINIB], radius=2, bits=2048)
    assert packed.shape == (2, 256)
    assert packed.dtype == np.uint8
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    for row, smiles in zip(np.unpackbits(packed, axis=1), [CAFFEINE, IMATINIB], strict=True):
        expected = generator.GetFingerprint(Chem.MolFromSmiles(smiles)).GetOnBits()
        assert np.flatnonzero(row).tolist() == list(expected)
    features, _ = featurize_drugs([CAFFEINE, IMATINIB], CONFIG)
    assert np.array_equal(features.fingerprints, packed)


def test_fingerprint_of_an_invalid_smiles_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="C1CC"):
        morgan_fingerprints(["CCO", "C1CC"], radius=2, bits=64)


def test_descriptors_of_aspirin() -> None:
    features, _ = featurize_drugs([ASPIRIN], CONFIG)
    assert features.descriptors.dtype == np.float32
    values = dict(zip(DRUG_DESCRIPTORS, features.descriptors[0], strict=True))
    published = {  # PubChem CID 2244
        "MolWt": 180.16,
        "TPSA": 63.6,
        "NumHDonors": 1,
        "HeavyAtoms": 13,
        "FormalCharge": 0,
        "StereoCentres": 0,
    }
    assert {name: values[name] for name in published} == pytest.approx(published, abs=0.01)
    assert values["AromaticRings"] == 1
    assert len(DRUG_DESCRIPTORS) >= 31


@pytest.mark.parametrize("smiles", [CAFFEINE, ASPIRIN, IMATINIB])
def test_descriptors_are_those_that_rdkit_lists(smiles: str) -> None:
    names = {
        "LogP": "MolLogP",
        "MolarRefractivity": "MolMR",
        "RotatableBonds": "NumRotatableBonds",
        "BalabanJ": "BalabanJ",
        "BertzCT": "BertzCT",
        "Kappa3": "Kappa3",
        "Chi4v": "Chi4v",
        "FractionCSP3": "FractionCSP3",
    }
    listed = dict(Descriptors.descList)
    row = featurize_drugs([smiles], CONFIG)[0].descriptors[0]
    for ours, theirs in names.items():
        expected = np.float32(listed[theirs](Chem.MolFromSmiles(smiles)))
        assert row[DRUG_DESCRIPTORS.index(ours)] == expected


@pytest.mark.parametrize("smiles", ["*", "[H+]", "[Na+].[Cl-]", "[U]", "[He]", "N#N", "C->[Fe]"])
def test_odd_molecules_have_finite_descriptors(smiles: str) -> None:
    features, rejected = featurize_drugs([smiles], CONFIG)
    assert not rejected
    assert np.isfinite(features.descriptors).all()


def test_extreme_descriptors_are_clipped() -> None:
    features, _ = featurize_drugs([".".join(["[O-2]"] * 100)], CONFIG)
    assert features.descriptors[0, DRUG_DESCRIPTORS.index("Kappa3")] == DESCRIPTOR_LIMIT


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_descriptor_that_is_not_finite_becomes_0(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(drugs._DESCRIPTORS, "BalabanJ", lambda molecule: value)
    features, _ = featurize_drugs([CAFFEINE], CONFIG)
    assert features.descriptors[0, DRUG_DESCRIPTORS.index("BalabanJ")] == 0


def test_an_invalid_drug_gets_a_reason_and_spares_its_neighbours() -> None:
    features, rejected = featurize_drugs([CAFFEINE, "C1CC", ASPIRIN, "", "CX"], CONFIG)
    assert set(rejected) == {1, 3, 4}
    assert "'C1CC'" in rejected[1]
    assert rejected[3] == "the SMILES is empty"
    assert same(features, featurize_drugs([CAFFEINE, ASPIRIN], CONFIG)[0])


def test_nothing_valid_gives_empty_features_of_the_right_shapes() -> None:
    for smiles in ([], ["nonsense"]):
        features, rejected = featurize_drugs(smiles, CONFIG)
        assert len(features) == 0
        assert len(rejected) == len(smiles)
        assert features.atoms.shape == (0, 74)
        assert features.bonds.shape == (0, 2)
        assert features.fingerprints.shape == (0, 256)
        assert features.descriptors.shape == (0, len(DRUG_DESCRIPTORS))


def test_the_number_of_processes_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drugs, "_DRUGS_PER_PROCESS", 40)
    smiles = [f"{'C' * (i + 1)}{end}" for i in range(40) for end in ("O", "N", "(", "Cl")]
    alone, alone_rejected = featurize_drugs(smiles, CONFIG, processes=1)
    shared, shared_rejected = featurize_drugs(smiles, CONFIG, processes=2)
    assert same(alone, shared)
    assert alone_rejected == shared_rejected
    assert len(alone_rejected) == 40
