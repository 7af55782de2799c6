"""What counts as a protein sequence.

The 20 standard amino acids and U (selenocysteine), O (pyrrolysine), B (D or N), Z (E or Q) and X
(unknown) are accepted. J (I or L), gaps and every other sign are refused: no model has a token for
them, and replacing them would make another sequence. One ``*`` at the very end is the stop codon
of a translated gene, no residue, and is dropped.

A, C, G, T, N and U are residues too, so a gene pasted by mistake would pass. Thirty letters or
more that hold all four bases and nothing else are refused as nucleic acid: no protein of that
length is made of alanine, cysteine, glycine, threonine, asparagine and selenocysteine alone.
"""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

from stages.dti.errors import InvalidInputError

RESIDUES = frozenset("ACDEFGHIKLMNPQRSTVWY" + "BOUXZ")

_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)
"""Not ``str.upper``, which makes two residues of ``ß`` and an ``I`` of ``ı``."""

_BASES = frozenset("ACGTUN")
_MIN_BASES = 30


def clean_sequence(sequence: str, min_residues: int, max_residues: int) -> str:
    """Return the sequence in upper case, without white space or final stop sign.

    Raises:
        InvalidInputError: it is empty, holds another letter, is shorter than ``min_residues``
            or longer than ``max_residues``, or looks like DNA or RNA.
    """
    cleaned = "".join(sequence.split()).translate(_UPPER).removesuffix("*")
    if not cleaned:
        raise InvalidInputError("the sequence is empty")
    if not RESIDUES.issuperset(cleaned):
        position = next(i for i, letter in enumerate(cleaned) if letter not in RESIDUES)
        raise InvalidInputError(
            f"{cleaned[position]!r} at residue {position + 1} is no amino acid "
            "(the 20 standard letters and B, O, U, X, Z are)"
        )
    if len(cleaned) < min_residues:
        raise InvalidInputError(f"{len(cleaned)} residues, fewer than {min_residues}")
    if len(cleaned) > max_residues:
        raise InvalidInputError(f"{len(cleaned)} residues, more than {max_residues}")
    letters = frozenset(cleaned)
    bases = letters <= _BASES and letters >= set("ACG") and not letters.isdisjoint("TU")
    if bases and len(cleaned) >= _MIN_BASES:
        raise InvalidInputError(
            f"its {len(cleaned)} letters are all of A, C, G, T, U, N: DNA or RNA, no protein; "
            "translate it first"
        )
    return cleaned
