"""Bemis-Murcko scaffolds (Bemis and Murcko 1996): a molecule's ring systems and their linkers."""

from __future__ import annotations

from rdkit import Chem, rdBase

from stages.dti.errors import InvalidInputError


def murcko_scaffold(smiles: str) -> str:
    """Return the canonical SMILES of the scaffold, without stereochemistry; ``""`` if acyclic.

    Raises:
        InvalidInputError: RDKit cannot read ``smiles``.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            raise InvalidInputError(f"RDKit cannot read the SMILES {smiles!r}")
        scaffold: str = Chem.MolToSmiles(Chem.MurckoDecompose(molecule), isomericSmiles=False)
    return scaffold
