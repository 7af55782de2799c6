"""The case of featurizing: ours, the usual loop over RDKit, and datamol's parallel path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from stages.dti.config.features import FeaturesConfig
from stages.dti.features.drugs import ATOM_FEATURES, descriptors, featurize_drugs
from tests.benchmarks.inputs import Inputs
from tests.benchmarks.measure import Case, Group, Variant
from tests.benchmarks.worker import Run


@dataclass(frozen=True)
class Molecules:
    """SMILES to featurize; ``processes``: of ours."""

    smiles: Sequence[str]
    features: FeaturesConfig
    processes: int | None = 1


@dataclass(frozen=True)
class PlainFeatures:
    """One drug, as most code computes it: the same content as ours."""

    atoms: NDArray[np.int8]
    bonds: NDArray[np.int32]
    fingerprint: NDArray[np.uint8]
    descriptors: NDArray[np.float32]


def featurize_case(inputs: Inputs) -> Case:
    """Approved drugs; graph, fingerprint and descriptors of each."""
    groups = []
    for count in inputs.settings.sizes.molecules:
        smiles = inputs.library[:count]
        one = Molecules(smiles, inputs.data.features)
        every = Molecules(smiles, inputs.data.features, processes=None)
        ways = (
            ("reference", prepare_loop, one),
            ("datamol_parallelized", prepare_datamol, one),
            ("ours_one_process", prepare_featurize, one),
            ("ours_all_processes", prepare_featurize, every),
        )
        groups.append(
            Group({"molecules": len(smiles)}, [Variant(*way, work=len(smiles)) for way in ways])
        )
    what = (
        "Graph, Morgan fingerprint and descriptors from SMILES; the reference: a loop over RDKit; "
        "datamol: the same loop's body in dm.parallelized"
    )
    return Case("featurize", what, "molecules", "molecules", groups)


def plain_features(smiles: str, radius: int, bits: int) -> PlainFeatures:
    """Return a drug's features by plain RDKit calls, one-hot groups by comparing with each value.

    This is how dgl-lifesci's featurizer, which DrugBAN's published code uses, goes about it.
    """
    molecule = Chem.MolFromSmiles(smiles)
    rows = []
    for atom in molecule.GetAtoms():
        values: dict[str, str | int] = {
            "element": atom.GetSymbol(),
            "degree": atom.GetDegree(),
            "implicit_valence": atom.GetValence(Chem.ValenceType.IMPLICIT),
            "hybridisation": atom.GetHybridization().name,
            "hydrogens": atom.GetTotalNumHs(),
        }
        present = {f"{kind}_{value}" for kind, value in values.items()}
        row = [int(name in present) for name in ATOM_FEATURES]
        row[ATOM_FEATURES.index("formal_charge")] = atom.GetFormalCharge()
        row[ATOM_FEATURES.index("radical_electrons")] = atom.GetNumRadicalElectrons()
        row[ATOM_FEATURES.index("aromatic")] = int(atom.GetIsAromatic())
        rows.append(row)
    ends = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    generator = GetMorganGenerator(radius=radius, fpSize=bits)
    return PlainFeatures(
        atoms=np.array(rows, dtype=np.int8),
        bonds=np.array(ends, dtype=np.int32).reshape(-1, 2),
        fingerprint=np.packbits(generator.GetFingerprintAsNumPy(molecule)),
        descriptors=descriptors(molecule),
    )


def prepare_featurize(work: Molecules) -> Run:
    """Ours."""

    def run() -> None:
        featurize_drugs(work.smiles, work.features, processes=work.processes)

    return run


def prepare_loop(work: Molecules) -> Run:
    """One molecule after the other."""
    radius, bits = work.features.fingerprint_radius, work.features.fingerprint_bits

    def run() -> None:
        with rdBase.BlockLogs():
            for text in work.smiles:
                plain_features(text, radius, bits)

    return run


def prepare_datamol(work: Molecules) -> Run:
    """datamol's way to use every core."""
    import datamol

    radius, bits = work.features.fingerprint_radius, work.features.fingerprint_bits
    arguments = [(text, radius, bits) for text in work.smiles]

    def run() -> None:
        datamol.parallelized(plain_features, arguments, n_jobs=-1, arg_type="args", progress=False)

    return run
