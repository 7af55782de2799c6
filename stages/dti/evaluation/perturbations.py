"""Changed inputs: the same pair written otherwise, changed a little, or made another pair.

Each changes one side, a canonical SMILES or a clean sequence, with a generator that the caller
seeds; equal generators make equal changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rdkit import Chem, rdBase

from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import InvalidInputError

Side = Literal["drug", "target"]
Expected = Literal["none", "little", "much"]

SUBSTITUTED_SHARES = (0.01, 0.05, 0.1)
CUT_SHARE = 0.1

_AMINO_ACIDS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
_LINE = 60
"""Residues in a line of a FASTA file."""

_WRITINGS = 10
"""Random SMILES that are tried; a tiny drug may come out as its canonical SMILES each time."""


class NotPossibleError(InvalidInputError):
    """This change cannot be made to this input; the message is the reason."""


@dataclass(frozen=True)
class Perturbation:
    """One way to change an input.

    Attributes:
        expected: how much the answer should change.
        per_pair: whether each pair of a drug or target is changed in its own way; else a drug or
            target is changed alike in all its pairs, and the model sees it once.
        change: text, generator → the changed text; raises NotPossibleError.
    """

    name: str
    side: Side
    expected: Expected
    per_pair: bool
    change: Callable[[str, np.random.Generator], str]


def perturbations(
    drugs: Sequence[str], targets: Sequence[str], standardise: StandardiseConfig
) -> list[Perturbation]:
    """Return every perturbation, from what must not matter to what should matter much.

    Args:
        drugs, targets: canonical SMILES and sequences of which others are drawn for the swaps.
        standardise: of the model; a salt can only be added where it is taken away again.
    """

    def salt(smiles: str, _: np.random.Generator) -> str:
        if not standardise.keep_largest_fragment:
            raise NotPossibleError("standardisation keeps salts, so a salt is another input")
        return hydrochloride(smiles)

    def substitute(share: float) -> Callable[[str, np.random.Generator], str]:
        return lambda sequence, random: substitute_residues(sequence, share, random)

    return [
        Perturbation("smiles_rewritten", "drug", "none", False, rewrite_smiles),
        Perturbation("salt_added", "drug", "none", False, salt),
        Perturbation("sequence_rewritten", "target", "none", False, rewrite_sequence),
        *(
            Perturbation(
                f"residues_substituted_{round(100 * share)}",
                "target",
                "little",
                False,
                substitute(share),
            )
            for share in SUBSTITUTED_SHARES
        ),
        Perturbation("end_cut", "target", "little", False, cut_end),
        Perturbation("methyl_added", "drug", "little", False, add_methyl),
        Perturbation("sequence_shuffled", "target", "much", False, shuffle_sequence),
        Perturbation("target_swapped", "target", "much", True, _swap(targets)),
        Perturbation("drug_swapped", "drug", "much", True, _swap(drugs)),
    ]


def rewrite_smiles(smiles: str, random: np.random.Generator) -> str:
    """Return another SMILES of the same molecule: other first atom, other order."""
    seed = int(random.integers(1, 1 << 31))
    writings = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), _WRITINGS, randomSeed=seed)
    other: str | None = next((text for text in writings if text != smiles), None)
    if other is None:
        raise NotPossibleError("no other SMILES of the drug was found")
    return other


def hydrochloride(smiles: str) -> str:
    """Return the drug with a molecule of HCl beside it."""
    if Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() < 2:
        raise NotPossibleError("the drug is no larger than the salt's other part")
    return f"Cl.{smiles}"


def rewrite_sequence(sequence: str, _: np.random.Generator) -> str:
    """Return the sequence in lower case, in lines as a FASTA file has them."""
    lower = sequence.lower()
    lines = [lower[start : start + _LINE] for start in range(0, len(lower), _LINE)]
    return " " + "\n".join(lines) + "\n"


def substitute_residues(sequence: str, share: float, random: np.random.Generator) -> str:
    """Return the sequence with ``share`` of its residues, at least one, made other amino acids."""
    residues = np.array(list(sequence))
    count = max(1, round(share * len(residues)))
    for position in random.choice(len(residues), size=count, replace=False):
        others = _AMINO_ACIDS[residues[position] != _AMINO_ACIDS]
        residues[position] = random.choice(others)
    return "".join(residues)


def cut_end(sequence: str, _: np.random.Generator) -> str:
    """Return the sequence without its last 10 %."""
    return sequence[: len(sequence) - max(1, round(CUT_SHARE * len(sequence)))]


def add_methyl(smiles: str, random: np.random.Generator) -> str:
    """Return the canonical SMILES of the drug with a methyl group in place of a hydrogen.

    The hydrogen is drawn from the carbons that have one; those of a stereocentre are left out,
    so that no other centre is made of it.
    """
    molecule = Chem.RWMol(Chem.MolFromSmiles(smiles))
    sites = [
        atom.GetIdx()
        for atom in molecule.GetAtoms()
        if atom.GetAtomicNum() == 6
        and atom.GetTotalNumHs() > 0
        and atom.GetChiralTag() == Chem.ChiralType.CHI_UNSPECIFIED
    ]
    if not sites:
        raise NotPossibleError("no carbon whose hydrogen a methyl group can replace")
    site = molecule.GetAtomWithIdx(int(random.choice(sites)))
    if site.GetNumExplicitHs():
        site.SetNumExplicitHs(site.GetNumExplicitHs() - 1)
    molecule.AddBond(site.GetIdx(), molecule.AddAtom(Chem.Atom(6)), Chem.BondType.SINGLE)
    with rdBase.BlockLogs():
        Chem.SanitizeMol(molecule)
    larger: str = Chem.MolToSmiles(molecule)
    return larger


def shuffle_sequence(sequence: str, random: np.random.Generator) -> str:
    """Return the residues in random order: the same composition, another protein."""
    return "".join(random.permutation(list(sequence)))


def _swap(texts: Sequence[str]) -> Callable[[str, np.random.Generator], str]:
    choices = sorted(set(texts))

    def other(text: str, random: np.random.Generator) -> str:
        if len(choices) < 2:
            raise NotPossibleError("there is no other one to swap it with")
        return choices[(choices.index(text) + int(random.integers(1, len(choices)))) % len(choices)]

    return other
