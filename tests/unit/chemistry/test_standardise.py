"""Canonical SMILES: salts, charges, stereochemistry, and reasons for what is no molecule."""

from __future__ import annotations

import pytest
from rdkit import Chem

from stages.dti.chemistry.standardise import StandardisedDrug, standardise_drugs, standardise_smiles
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import InvalidInputError
from tests.support.prepared_tables import STANDARDISE

CONFIG = STANDARDISE


def changed(**changes: bool | int) -> StandardiseConfig:
    return CONFIG.model_copy(update=changes)


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        ("OC(=O)c1ccccc1OC(C)=O", "CC(=O)Oc1ccccc1C(=O)O"),
        ("[Na+].[O-]C(=O)c1ccccc1OC(C)=O", "CC(=O)Oc1ccccc1C(=O)O"),
        # Meglumine has more atoms than dichlorophen, but fewer heavy ones.
        (
            "CNC[C@H](O)[C@@H](O)[C@H](O)[C@H](O)CO.Oc1ccc(Cl)cc1Cc1cc(Cl)ccc1O",
            "Oc1ccc(Cl)cc1Cc1cc(Cl)ccc1O",
        ),
        # The counter-ion is larger, but inorganic.
        ("CC[NH3+].F[P-](F)(F)(F)(F)F", "CCN"),
        ("[NH3+][C@@H](C)C([O-])=O", "C[C@H](N)C(=O)O"),
        ("C[N+](C)(C)CC(=O)[O-]", "C[N+](C)(C)CC(=O)[O-]"),  # no proton to move
        ("CN(=O)=O", "C[N+](=O)[O-]"),
        ("[H][C@@](C)(O)F", "C[C@H](O)F"),
        ("  CCO\n", "CCO"),
        ("C[C@H](O)F |&1:1,r|", "C[C@H](O)F"),  # CXSMILES, as BindingDB writes it
    ],
)
def test_one_form_per_drug(smiles: str, expected: str) -> None:
    assert standardise_smiles(smiles, CONFIG) == Chem.CanonSmiles(expected)


def test_each_step_can_be_left_out() -> None:
    salt = "[Na+].C[C@H](F)C(=O)[O-]"
    whole = standardise_smiles(salt, changed(keep_largest_fragment=False))
    assert whole == Chem.CanonSmiles("[Na+].C[C@H](F)C(=O)[O-]")
    charged = standardise_smiles(salt, changed(neutralise_charges=False))
    assert charged == Chem.CanonSmiles("C[C@H](F)C(=O)[O-]")
    flat = standardise_smiles(salt, changed(keep_stereochemistry=False))
    assert flat == Chem.CanonSmiles("CC(F)C(=O)O")


@pytest.mark.parametrize(
    "smiles",
    [
        # Read again, the neutral form of these is written otherwise (both stand in public sets).
        "C(=C(\\O)/[O-])\\[C@H](C(=O)[O-])O",
        "[H][C@]1(CSC)N[C@@]([H])(C2=C[NH2+]C3=C2N=CN=C3O)[C@]([H])(O)[C@]1([H])O",
    ],
)
def test_idempotent_where_one_pass_is_not(smiles: str) -> None:
    once = standardise_smiles(smiles, CONFIG)
    assert standardise_smiles(once, CONFIG) == once


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("", "the SMILES is empty"),
        ("   ", "the SMILES is empty"),
        ("C1CC", "SMILES syntax error"),
        ("not a molecule", "white space inside the SMILES"),
        ("C(C)(C)(C)(C)C", "Explicit valence for atom # 0 C, 5, is greater than permitted"),
        ("c1cccc1", "Can't kekulize mol"),
        ("*CC", r"placeholder atom \(\*\)"),
        ("C" * 291, "291 heavy atoms, more than 290"),
    ],
)
def test_reasons(smiles: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        standardise_smiles(smiles, CONFIG)
    assert capfd.readouterr().err == ""  # RDKit's own log is silent


def test_the_counter_ion_does_not_count_as_size() -> None:
    assert standardise_smiles("CCO." + "C" * 20, changed(max_heavy_atoms=20)) == "C" * 20


def test_many_keep_their_order_in_processes_and_in_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    smiles = ["CCO", "C1CC", "[Na+].CC(=O)[O-]", "c1ccccc1"] * 3
    expected = [
        StandardisedDrug("CCO", 3, None),
        StandardisedDrug(None, 0, "SMILES syntax error"),
        StandardisedDrug("CC(=O)O", 4, None),
        StandardisedDrug("c1ccccc1", 6, None),
    ] * 3
    assert standardise_drugs(smiles, CONFIG) == expected
    monkeypatch.setattr("stages.dti.chemistry.standardise._PARALLEL_FROM", 1)
    monkeypatch.setattr("stages.dti.chemistry.standardise._CHUNK", 5)
    assert standardise_drugs(smiles, CONFIG, processes=2) == expected
