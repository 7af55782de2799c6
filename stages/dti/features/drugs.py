"""Drug features from SMILES: molecular graph, Morgan fingerprint, RDKit descriptors.

Each drug is computed from its own SMILES alone: its features are the same bytes whatever drugs
stand beside it and however many processes share the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import Crippen, Descriptors, GraphDescriptors, Lipinski, MolSurf, rdMolDescriptors
from rdkit.Chem.rdchem import HybridizationType
from rdkit.Chem.rdFingerprintGenerator import FingerprintGenerator64, GetMorganGenerator

from stages.dti.chemistry.fingerprints import packed_fingerprint
from stages.dti.chemistry.molecules import rdkit_failures, read_molecule
from stages.dti.config.features import FeaturesConfig
from stages.dti.errors import InvalidInputError
from stages.dti.features.store import ATOM_DIM, DrugFeatures
from stages.dti.runtime.progress import ProgressLog

_ELEMENTS = (
    "C N O S F Si P Cl Br Mg Na Ca Fe As Al I B V K Tl Yb Sb Sn Ag Pd Co Se Ti Zn H Li Ge Cu Au "
    "Ni Cd In Mn Zr Cr Pt Hg Pb"
)
_HYBRIDISATIONS = (
    HybridizationType.SP,
    HybridizationType.SP2,
    HybridizationType.SP3,
    HybridizationType.SP3D,
    HybridizationType.SP3D2,
)

ATOM_FEATURES: tuple[str, ...] = (
    *(f"element_{symbol}" for symbol in _ELEMENTS.split()),
    *(f"degree_{count}" for count in range(11)),
    *(f"implicit_valence_{count}" for count in range(7)),
    "formal_charge",
    "radical_electrons",
    *(f"hybridisation_{kind.name}" for kind in _HYBRIDISATIONS),
    "aromatic",
    *(f"hydrogens_{count}" for count in range(5)),
)
"""Columns of the atom features, in the order of dgl-lifesci's ``CanonicalAtomFeaturizer``.

An element, count or hybridisation outside its list leaves that group all zero.
"""

_DESCRIPTORS: dict[str, Callable[[Chem.Mol], float]] = {
    "MolWt": Descriptors.MolWt,
    "LogP": Crippen.MolLogP,
    "MolarRefractivity": Crippen.MolMR,
    "NumHDonors": Lipinski.NumHDonors,
    "NumHAcceptors": Lipinski.NumHAcceptors,
    "NHOHCount": Lipinski.NHOHCount,
    "NOCount": Lipinski.NOCount,
    "HeavyAtoms": Lipinski.HeavyAtomCount,
    "Heteroatoms": Lipinski.NumHeteroatoms,
    "RingCount": Lipinski.RingCount,
    "AromaticRings": Lipinski.NumAromaticRings,
    "AliphaticRings": Lipinski.NumAliphaticRings,
    "SaturatedRings": Lipinski.NumSaturatedRings,
    "AromaticCarbocycles": Lipinski.NumAromaticCarbocycles,
    "AromaticHeterocycles": Lipinski.NumAromaticHeterocycles,
    "AliphaticCarbocycles": Lipinski.NumAliphaticCarbocycles,
    "AliphaticHeterocycles": Lipinski.NumAliphaticHeterocycles,
    "RotatableBonds": rdMolDescriptors.CalcNumRotatableBonds,
    "AmideBonds": rdMolDescriptors.CalcNumAmideBonds,
    "SpiroAtoms": rdMolDescriptors.CalcNumSpiroAtoms,
    "BridgeheadAtoms": rdMolDescriptors.CalcNumBridgeheadAtoms,
    "StereoCentres": rdMolDescriptors.CalcNumAtomStereoCenters,
    "FractionCSP3": Lipinski.FractionCSP3,
    "FormalCharge": Chem.GetFormalCharge,
    "ValenceElectrons": Descriptors.NumValenceElectrons,
    "RadicalElectrons": Descriptors.NumRadicalElectrons,
    "TPSA": MolSurf.TPSA,
    "LabuteASA": MolSurf.LabuteASA,
    "BalabanJ": GraphDescriptors.BalabanJ,
    "BertzCT": GraphDescriptors.BertzCT,
    "HallKierAlpha": GraphDescriptors.HallKierAlpha,
    "Kappa1": GraphDescriptors.Kappa1,
    "Kappa2": GraphDescriptors.Kappa2,
    "Kappa3": GraphDescriptors.Kappa3,
    "Chi0v": GraphDescriptors.Chi0v,
    "Chi1v": GraphDescriptors.Chi1v,
    "Chi2v": GraphDescriptors.Chi2v,
    "Chi3v": GraphDescriptors.Chi3v,
    "Chi4v": GraphDescriptors.Chi4v,
}

DRUG_DESCRIPTORS: tuple[str, ...] = tuple(_DESCRIPTORS)
"""Columns of the drug descriptors."""

DESCRIPTOR_LIMIT = 1e4
"""A descriptor that is not finite becomes 0; every value is clipped to plus or minus this limit.

Organic molecules stay far inside. A polyoxometalate written as 100 separate ions doesn't: its
Kappa3 of 113,000 would flatten the column for all other drugs once it is scaled.
"""

_NO_DESCRIPTORS = np.zeros(0, dtype=np.float32)

_DRUGS_PER_PROCESS = 512
"""Below this many drugs a further process costs more to start than it saves."""


_DRUGS_AT_A_TIME = 64
"""Handed to a process."""


@dataclass(frozen=True)
class _Drug:
    atoms: NDArray[np.int8]
    bonds: NDArray[np.int32]
    fingerprint: NDArray[np.uint8]
    descriptors: NDArray[np.float32]


def featurize_drugs(
    smiles: Sequence[str],
    config: FeaturesConfig,
    *,
    with_descriptors: bool = True,
    processes: int | None = 1,
    progress: bool = False,
) -> tuple[DrugFeatures, dict[int, str]]:
    """Compute every drug's features.

    Args:
        smiles: one molecule each; graph atoms stand in the order of the SMILES.
        with_descriptors: without them ``DrugFeatures.descriptors`` has no columns, and the rest
            takes an eighth of the time.
        processes: how many processes share the work; ``None``: all available. Fewer are started
            when there is too little to do.
        progress: log how far it is, if it takes long.

    Returns:
        The features of the valid drugs, in order, and the reason for each other input position.
    """
    blocks = [
        list(smiles[start : start + _DRUGS_AT_A_TIME])
        for start in range(0, len(smiles), _DRUGS_AT_A_TIME)
    ]
    useful = max(1, math.ceil(len(smiles) / _DRUGS_PER_PROCESS))
    jobs = min(cpu_count() if processes is None else processes, useful)
    results = Parallel(n_jobs=jobs, return_as="generator")(
        delayed(_featurize_block)(block, config, with_descriptors) for block in blocks
    )
    drugs: list[_Drug] = []
    rejected: dict[int, str] = {}
    position = 0
    told = ProgressLog("drugs featurized", len(smiles)) if progress else None
    for block in results:
        for drug in block:
            if isinstance(drug, str):
                rejected[position] = drug
            else:
                drugs.append(drug)
            position += 1
        if told:
            told.advance(len(block))
    return _join(drugs, config, len(DRUG_DESCRIPTORS) if with_descriptors else 0), rejected


def atom_features(molecule: Chem.Mol) -> NDArray[np.int8]:
    """Return int8 ``(atoms, ATOM_DIM)``; the columns are ``ATOM_FEATURES``."""
    rows = [
        _atom_row(
            atom.GetSymbol(),
            atom.GetDegree(),
            atom.GetValence(Chem.ValenceType.IMPLICIT),
            atom.GetFormalCharge(),
            atom.GetNumRadicalElectrons(),
            atom.GetHybridization(),
            atom.GetIsAromatic(),
            atom.GetTotalNumHs(),
        )
        for atom in molecule.GetAtoms()
    ]
    return np.frombuffer(b"".join(rows), dtype=np.int8).reshape(-1, ATOM_DIM)


def bonds(molecule: Chem.Mol) -> NDArray[np.int32]:
    """Return int32 ``(bonds, 2)``: the two atoms of each bond, each bond once."""
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    return np.asarray(ends, dtype=np.int32).reshape(-1, 2)


def descriptors(molecule: Chem.Mol) -> NDArray[np.float32]:
    """Return float32 ``(len(DRUG_DESCRIPTORS),)``, finite (see ``DESCRIPTOR_LIMIT``)."""
    values = np.array([function(molecule) for function in _DESCRIPTORS.values()], dtype=np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return values.clip(-DESCRIPTOR_LIMIT, DESCRIPTOR_LIMIT).astype(np.float32)


def _one_hot_columns() -> dict[tuple[str, str | int], int]:
    columns: dict[tuple[str, str | int], int] = {}
    for column, name in enumerate(ATOM_FEATURES):
        kind, _, value = name.rpartition("_")
        columns[kind, int(value) if value.isdigit() else value] = column
    return columns


@lru_cache(maxsize=4096)
def _atom_row(
    element: str,
    degree: int,
    implicit_valence: int,
    formal_charge: int,
    radical_electrons: int,
    hybridisation: HybridizationType,
    aromatic: bool,
    hydrogens: int,
) -> bytes:
    """Return the features of such an atom, int8 ``(ATOM_DIM,)``; few kinds make up all drugs."""
    row = np.zeros(ATOM_DIM, dtype=np.int8)
    for kind, value in (
        ("element", element),
        ("degree", degree),
        ("implicit_valence", implicit_valence),
        ("hybridisation", hybridisation.name),
        ("hydrogens", hydrogens),
    ):
        column = _ONE_HOT.get((kind, value))
        if column is not None:
            row[column] = 1
    row[_CHARGE] = formal_charge
    row[_RADICAL] = radical_electrons
    row[_AROMATIC] = aromatic
    return row.tobytes()


_ONE_HOT = _one_hot_columns()
_CHARGE = ATOM_FEATURES.index("formal_charge")
_RADICAL = ATOM_FEATURES.index("radical_electrons")
_AROMATIC = ATOM_FEATURES.index("aromatic")


def _featurize_block(
    smiles: list[str], config: FeaturesConfig, with_descriptors: bool
) -> list[_Drug | str]:
    """Return each drug's features, or the reason why it has none."""
    generator = GetMorganGenerator(radius=config.fingerprint_radius, fpSize=config.fingerprint_bits)
    results: list[_Drug | str] = []
    with rdBase.BlockLogs():
        for text in smiles:
            try:
                results.append(_featurize(text, generator, with_descriptors))
            except InvalidInputError as error:
                results.append(str(error))
    return results


def _featurize(smiles: str, generator: FingerprintGenerator64, with_descriptors: bool) -> _Drug:
    molecule = read_molecule(smiles)
    with rdkit_failures():
        return _Drug(
            atoms=atom_features(molecule),
            bonds=bonds(molecule),
            fingerprint=packed_fingerprint(molecule, generator),
            descriptors=descriptors(molecule) if with_descriptors else _NO_DESCRIPTORS,
        )


def _join(drugs: list[_Drug], config: FeaturesConfig, descriptor_columns: int) -> DrugFeatures:
    return DrugFeatures(
        atoms=np.concatenate([np.zeros((0, ATOM_DIM), np.int8), *(d.atoms for d in drugs)]),
        atom_offsets=_offsets([len(d.atoms) for d in drugs]),
        bonds=np.concatenate([np.zeros((0, 2), np.int32), *(d.bonds for d in drugs)]),
        bond_offsets=_offsets([len(d.bonds) for d in drugs]),
        fingerprints=np.array([d.fingerprint for d in drugs], dtype=np.uint8).reshape(
            len(drugs), config.fingerprint_bits // 8
        ),
        descriptors=np.array([d.descriptors for d in drugs], dtype=np.float32).reshape(
            len(drugs), descriptor_columns
        ),
    )


def _offsets(lengths: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
