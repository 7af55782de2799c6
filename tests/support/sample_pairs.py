"""Real pairs with features, for tests: some drugs and targets of the embedded sample."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.config.features import FeaturesConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import DrugFeatures, PairData, Scaler, Scalers, TargetFeatures
from stages.dti.features.targets import featurize_targets

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
FEATURES = FeaturesConfig(
    fingerprint_radius=2, fingerprint_bits=512, max_residues=1200, kmer_bins=64
)


@lru_cache(maxsize=1)
def sample_pairs() -> PairData:
    """The 646 labelled pairs of the sample's first 100 drugs, in a seeded order."""
    table = pd.read_csv(SAMPLE / "interactions.csv")
    drugs = pd.read_csv(SAMPLE / "drugs.csv").head(100)
    targets = pd.read_csv(SAMPLE / "targets.csv")
    table = table[table["drug_id"].isin(drugs["drug_id"])].sample(frac=1, random_state=0)
    drug_features, bad_drugs = featurize_drugs(drugs["smiles"].tolist(), FEATURES)
    target_features, bad_targets = featurize_targets(targets["sequence"].tolist(), FEATURES)
    assert not bad_drugs
    assert not bad_targets
    return PairData(
        drugs=drug_features,
        targets=target_features,
        scalers=Scalers(
            Scaler.fit(drug_features.descriptors), Scaler.fit(target_features.descriptors)
        ),
        drug_index=pd.Index(drugs["drug_id"]).get_indexer(table["drug_id"]),
        target_index=pd.Index(targets["target_id"]).get_indexer(table["target_id"]),
        labels=(table["affinity"] >= 12.1).to_numpy(np.float32),
    )


def take(pairs: PairData, rows: NDArray[np.int64] | slice) -> PairData:
    """The chosen pairs, over the same unique drugs and targets."""
    return replace(
        pairs,
        drug_index=pairs.drug_index[rows],
        target_index=pairs.target_index[rows],
        labels=None if pairs.labels is None else pairs.labels[rows],
    )


def alone(pairs: PairData, row: int) -> PairData:
    """One pair over tables that hold its drug and its target only, as a server would see it."""
    drug, target = pairs.drug_index[row], pairs.target_index[row]
    atoms, bonds = (
        slice(offsets[drug], offsets[drug + 1])
        for offsets in (pairs.drugs.atom_offsets, pairs.drugs.bond_offsets)
    )
    residues, rows = (
        slice(offsets[target], offsets[target + 1])
        for offsets in (pairs.targets.residue_offsets, pairs.targets.embedding_offsets)
    )
    return replace(
        pairs,
        drugs=DrugFeatures(
            atoms=pairs.drugs.atoms[atoms],
            atom_offsets=np.array([0, atoms.stop - atoms.start]),
            bonds=pairs.drugs.bonds[bonds],
            bond_offsets=np.array([0, bonds.stop - bonds.start]),
            fingerprints=pairs.drugs.fingerprints[[drug]],
            descriptors=pairs.drugs.descriptors[[drug]],
        ),
        targets=TargetFeatures(
            residues=pairs.targets.residues[residues],
            residue_offsets=np.array([0, residues.stop - residues.start]),
            descriptors=pairs.targets.descriptors[[target]],
            embeddings=pairs.targets.embeddings[rows],
            embedding_offsets=np.array([0, rows.stop - rows.start]),
        ),
        drug_index=np.array([0]),
        target_index=np.array([0]),
        labels=None,
    )
