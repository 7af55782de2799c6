"""Honeycomb nets on a torus: small texts on which RDKit would work for seconds to hours."""

from __future__ import annotations

from rdkit import Chem


def honeycomb_torus(width: int, length: int) -> str:
    """Return an aromatic SMILES of ``2 * width * length`` carbons, each in three rings."""
    molecule = Chem.RWMol()
    for _ in range(2 * width * length):
        atom = Chem.Atom(6)
        atom.SetIsAromatic(True)
        molecule.AddAtom(atom)

    def place(i: int, j: int) -> int:
        return 2 * (i % width * length + j % length)

    for i in range(width):
        for j in range(length):
            for x, y in ((i, j), (i - 1, j), (i, j - 1)):
                molecule.AddBond(place(i, j), place(x, y) + 1, Chem.BondType.AROMATIC)
    for bond in molecule.GetBonds():
        bond.SetIsAromatic(True)
    molecule.UpdatePropertyCache(strict=False)
    return str(Chem.MolToSmiles(molecule, canonical=False))
