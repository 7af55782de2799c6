"""What counts as a protein sequence, and keys of drugs and targets."""

from __future__ import annotations

from hashlib import sha256

import pytest

from stages.dti.chemistry.keys import drug_key, target_key
from stages.dti.chemistry.sequences import clean_sequence
from stages.dti.errors import InvalidInputError
from stages.dti.features.targets import RESIDUE_ALPHABET


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ("MKTAYIAK", "MKTAYIAK"),
        ("mkta\nyiak ", "MKTAYIAK"),
        ("MKTAUOBZX", "MKTAUOBZX"),
        ("MKTAYIAK*", "MKTAYIAK"),
    ],
)
def test_clean(sequence: str, expected: str) -> None:
    assert clean_sequence(sequence, 5, 10) == expected


@pytest.mark.parametrize(
    ("sequence", "reason"),
    [
        ("", "the sequence is empty"),
        ("*", "the sequence is empty"),
        ("MKTJYI", "'J' at residue 4 is no amino acid"),
        ("MKT-YI", "'-' at residue 4"),
        ("MK*AYI", r"'\*' at residue 3"),
        ("MKTAYI1", "'1' at residue 7"),
        ("MKTÄYI", "'Ä' at residue 4"),
        ("mktßyi", "'ß' at residue 4"),
        ("mktıyi", "'ı' at residue 4"),
        ("MKT\udc80YI", r"'\\udc80' at residue 4"),
        ("MKTA", "4 residues, fewer than 5"),
        ("MKTAYIAKQRQ", "11 residues, more than 10"),
    ],
)
def test_reasons(sequence: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        clean_sequence(sequence, 5, 10)


@pytest.mark.parametrize(
    "sequence", ["ATGGCCAAGTTTCTGAACGGCTACCTGAAA", "augc" * 9, "ATGN" * 5 + "CCCCCCCCCC"]
)
def test_nucleic_acid_is_no_protein(sequence: str) -> None:
    with pytest.raises(InvalidInputError, match="letters are all of A, C, G, T, U, N: DNA or RNA"):
        clean_sequence(sequence, 5, 100)


@pytest.mark.parametrize(
    "sequence",
    [
        "ACGTNU" * 4 + "ACGTN",  # 29 letters: a peptide may be that odd
        "ACGTNU" * 5 + "D",  # one other residue
        "AATAATAATAATAATAATAATAATAATAATAATAAT",  # antifreeze peptides repeat alanine and threonine
        "N" * 40,
        "GCGC" * 10,
    ],
)
def test_odd_proteins_are_let_pass(sequence: str) -> None:
    assert clean_sequence(sequence, 5, 100) == sequence


def test_exactly_the_letters_that_have_a_token() -> None:
    accepted = set()
    for code in range(128):
        try:
            accepted.add(clean_sequence(chr(code).upper(), 1, 1))
        except InvalidInputError:
            continue
    assert accepted == set(RESIDUE_ALPHABET)


def test_keys() -> None:
    assert drug_key("CCO") == "D" + sha256(b"CCO").hexdigest()[:16]
    assert target_key("MKTA") == "T" + sha256(b"MKTA").hexdigest()[:16]
