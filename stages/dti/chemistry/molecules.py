"""Reading a molecule with RDKit, whose failures become reasons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rdkit import Chem

from stages.dti.errors import InvalidInputError


@contextmanager
def rdkit_failures() -> Iterator[None]:
    """Turn what RDKit raises over a single molecule into an InvalidInputError.

    A violated precondition (an element beyond the table, more neighbours than a byte counts) comes
    as RuntimeError, text that is no Unicode (a lone surrogate) as UnicodeEncodeError.
    """
    try:
        yield
    except UnicodeEncodeError as error:
        raise InvalidInputError("the SMILES is no Unicode text (a lone surrogate)") from error
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = ": ".join(lines[:2]) or "no reason given"
        raise InvalidInputError(f"RDKit fails on the molecule ({said})") from error


def read_molecule(smiles: str) -> Chem.Mol:
    """Parse one SMILES.

    Raises:
        InvalidInputError: RDKit cannot read it, or it holds no atom.
    """
    if not isinstance(smiles, str) or not smiles.strip():
        raise InvalidInputError("the SMILES is empty")
    with rdkit_failures():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise InvalidInputError(f"RDKit cannot read the SMILES {_shortened(smiles)}")
    if molecule.GetNumAtoms() == 0:
        raise InvalidInputError(f"the SMILES {_shortened(smiles)} holds no atom")
    return molecule


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")
