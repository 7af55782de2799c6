"""What counts as a protein sequence.

The 20 standard amino acids and U (selenocysteine), O (pyrrolysine), B (D or N), Z (E or Q) and X
(unknown) are accepted. J (I or L), gaps and every other sign are refused: no model has a token for
them, and replacing them would make another sequence. One ``*`` at the very end is the stop codon
of a translated gene, no residue, and is dropped.
"""

from __future__ import annotations

from stages.dti.errors import InvalidInputError

RESIDUES = frozenset("ACDEFGHIKLMNPQRSTVWY" + "BOUXZ")


def clean_sequence(sequence: str, min_residues: int, max_residues: int) -> str:
    """Return the sequence in upper case, without white space or final stop sign.

    Raises:
        InvalidInputError: it is empty, holds another letter, or is shorter than ``min_residues``
            or longer than ``max_residues``.
    """
    cleaned = "".join(sequence.split()).upper().removesuffix("*")
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
    return cleaned
