"""Refuses molecules on which RDKit would work for seconds to hours, before it begins.

What is slow in RDKit 2026.9, measured one step at a time
(``tests/unit/chemistry/test_molecule_limits.py`` holds the molecules):

- the perception of aromaticity in a net of fused unsaturated rings, which grows by two for each
  further ring: 0.02 s for the worst net of 17 rings that was found, 0.5 s for 21, 4 s for 25, and
  minutes for a honeycomb torus of 288 atoms. The largest net among the approved drugs has 5 rings,
  in KIBA, BIOSNAP, Human and BindingDB 13 (a dendrimer of benzenes);
- the search for rings of a cage with hundreds of them: 0.02 s for 129 rings, 6 s for 769; the
  approved drugs reach 29;
- telling the fragments of a mixture apart: 0.01 s for 100, 1.4 s for 1,000; the approved drugs
  reach 13, Human 59;
- any text that is long: approved drugs reach 494 characters, BIOSNAP 1,695.

The limits are those of the section ``standardise``. Fragments and rings are counted in the text;
only a molecule with more rings than may be fused is parsed, without RDKit's slow steps, to see how
many of them are.
"""

from __future__ import annotations

import re
from collections import Counter

from rdkit import Chem

from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import InvalidInputError

_BRACKETS = re.compile(r"\[[^\]]*\]")
_DIGITS = "0123456789"
_RING_CLOSURE = re.compile(r"%\(\d+\)|%\d\d|\d")


def check_limits(smiles: str, config: StandardiseConfig) -> None:
    """Check the size of what a SMILES describes. A CXSMILES extension is not looked at.

    Raises:
        InvalidInputError: it has too many characters, fragments, rings or fused rings.
    """
    if len(smiles) > config.max_smiles_characters:
        raise InvalidInputError(
            f"the SMILES has {len(smiles)} characters, more than {config.max_smiles_characters}"
        )
    text = (smiles.split(maxsplit=1) or [""])[0]
    fragments = text.count(".") + 1
    if fragments > config.max_fragments:
        raise InvalidInputError(f"{fragments} fragments, more than {config.max_fragments}")
    # Most molecules are let pass by this count, which takes a twentieth of the exact one's time.
    if sum(map(text.count, _DIGITS)) < 2 * min(config.max_rings, config.max_fused_rings):
        return
    rings = len(_RING_CLOSURE.findall(_BRACKETS.sub("", text))) // 2
    if rings > config.max_rings:
        raise InvalidInputError(f"{rings} rings, more than {config.max_rings}")
    if rings > config.max_fused_rings:
        molecule = Chem.MolFromSmiles(text, sanitize=False)
        fused = 0 if molecule is None else fused_unsaturated_rings(molecule)
        if fused > config.max_fused_rings:
            raise InvalidInputError(
                f"a net of {fused} fused unsaturated rings, more than {config.max_fused_rings}"
            )


def fused_unsaturated_rings(molecule: Chem.Mol) -> int:
    """Return the independent rings of the largest ring system that may become aromatic.

    Counted are the ring bonds between atoms that RDKit may find aromatic: all but the neutral
    carbons that have single bonds only.

    Args:
        molecule: not sanitised; its rings are marked.
    """
    Chem.FastFindRings(molecule)
    saturated = {
        atom.GetIdx()
        for atom in molecule.GetAtoms()
        if atom.GetAtomicNum() == 6
        and atom.GetFormalCharge() == 0
        and all(bond.GetBondType() == Chem.BondType.SINGLE for bond in atom.GetBonds())
    }
    bonds = [
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        for bond in molecule.GetBonds()
        if bond.IsInRing()
        and bond.GetBeginAtomIdx() not in saturated
        and bond.GetEndAtomIdx() not in saturated
    ]
    parent = {atom: atom for bond in bonds for atom in bond}

    def system(atom: int) -> int:
        while parent[atom] != atom:
            parent[atom] = atom = parent[parent[atom]]
        return atom

    for begin, end in bonds:
        parent[system(begin)] = system(end)
    atoms_of = Counter(system(atom) for atom in parent)
    bonds_of = Counter(system(begin) for begin, _ in bonds)
    return max((bonds_of[name] - atoms_of[name] + 1 for name in bonds_of), default=0)
