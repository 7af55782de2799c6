"""Changed inputs, on molecules and sequences of the sample."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from rdkit import Chem

from stages.dti.chemistry.standardise import standardise_smiles
from stages.dti.evaluation.perturbations import (
    NotPossibleError,
    add_methyl,
    cut_end,
    hydrochloride,
    perturbations,
    rewrite_sequence,
    rewrite_smiles,
    shuffle_sequence,
    substitute_residues,
)
from tests.support.prepared_tables import STANDARDISE
from tests.support.sample_texts import CARBON_TETRACHLORIDE, DRUGS, SEQUENCES, random

TINY = "C"


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (rewrite_smiles, DRUGS),
        (add_methyl, DRUGS),
        (shuffle_sequence, SEQUENCES),
        (lambda text, generator: substitute_residues(text, 0.05, generator), SEQUENCES),
    ],
)
def test_equal_seeds_make_equal_changes_and_others_others(change: Any, texts: list[str]) -> None:
    first = [change(text, random(1)) for text in texts]
    assert first == [change(text, random(1)) for text in texts]
    assert first != [change(text, random(2)) for text in texts]
    assert all(after != before for after, before in zip(first, texts, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_a_rewritten_smiles_is_the_same_drug(seed: int) -> None:
    for smiles in DRUGS:
        assert standardise_smiles(rewrite_smiles(smiles, random(seed)), STANDARDISE) == smiles


def test_the_salt_is_taken_away_again() -> None:
    for smiles in DRUGS:
        assert standardise_smiles(hydrochloride(smiles), STANDARDISE) == smiles


def test_drugs_that_cannot_be_changed_say_why() -> None:
    with pytest.raises(NotPossibleError, match="no other SMILES"):
        rewrite_smiles(TINY, random())
    with pytest.raises(NotPossibleError, match="no larger than the salt"):
        hydrochloride(TINY)
    with pytest.raises(NotPossibleError, match="no carbon whose hydrogen"):
        add_methyl(CARBON_TETRACHLORIDE, random())


@pytest.mark.parametrize("smiles", [*DRUGS, "[13CH4]", "C[C@H](N)C(=O)O", "F/C=C/F", TINY])
def test_a_methyl_group_is_one_more_carbon_on_the_same_molecule(smiles: str) -> None:
    before = Chem.MolFromSmiles(smiles)
    for seed in range(3):
        after = Chem.MolFromSmiles(add_methyl(smiles, random(seed)))
        assert after.GetNumHeavyAtoms() == before.GetNumHeavyAtoms() + 1
        assert after.GetNumBonds() == before.GetNumBonds() + 1
        if before.GetNumAtoms() > 1 and "@" in smiles:
            assert after.HasSubstructMatch(before, useChirality=True)
        elif before.GetNumAtoms() > 1:
            assert after.HasSubstructMatch(before)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_the_right_share_of_residues_is_substituted(share: float) -> None:
    for sequence in SEQUENCES:
        changed = substitute_residues(sequence, share, random())
        differing = sum(one != other for one, other in zip(changed, sequence, strict=True))
        assert differing == max(1, round(share * len(sequence)))
        assert set(changed) <= set("ACDEFGHIKLMNPQRSTVWY") | set(sequence)
    assert substitute_residues("MK", 0.01, random()) != "MK"  # at least one


def test_the_end_is_cut_the_shuffle_keeps_the_composition_the_rewriting_the_residues() -> None:
    for sequence in SEQUENCES:
        cut = cut_end(sequence, random())
        assert sequence.startswith(cut)
        assert len(sequence) - len(cut) == round(0.1 * len(sequence))
        shuffled = shuffle_sequence(sequence, random())
        assert shuffled != sequence
        assert Counter(shuffled) == Counter(sequence)
        rewritten = rewrite_sequence(sequence, random())
        assert rewritten != sequence
        assert "".join(rewritten.split()).upper() == sequence


def test_a_swap_takes_another_of_the_same_kind() -> None:
    swaps = {p.name: p for p in perturbations(DRUGS, SEQUENCES, STANDARDISE) if p.per_pair}
    assert set(swaps) == {"target_swapped", "drug_swapped"}
    drawn = {swaps["drug_swapped"].change(DRUGS[0], random(seed)) for seed in range(2000)}
    assert drawn == set(DRUGS) - {DRUGS[0]}
    alone = {p.name: p for p in perturbations(DRUGS, SEQUENCES[:1] * 2, STANDARDISE)}
    with pytest.raises(NotPossibleError, match="no other one"):
        alone["target_swapped"].change(SEQUENCES[0], random())
