"""How similar the drugs and targets of a part are to the nearest ones of another part.

Of train, validation and test, whatever the split; ``leakage.py`` reports and judges it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.artifacts.leakage import (
    DrugSimilarity,
    Histogram,
    JointSimilarity,
    NearestTrainSimilarity,
    Quantiles,
    TargetSimilarity,
)
from stages.dti.chemistry.fingerprints import (
    ECFP4_BITS,
    ECFP4_RADIUS,
    morgan_fingerprints,
    nearest_tanimoto,
)
from stages.dti.chemistry.kmers import nearest_sequence_similarity

USED = ("train", "val", "test")
DECIMALS = 6

_HISTOGRAM_EDGES = np.linspace(0, 1, 21).round(2)
_JOINT_EDGES = np.linspace(0, 1, 6).round(2)
_QUANTILES = {"min": 0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1}


class Similarity:
    """Nearest-neighbour similarities between parts, computed once per unique drug and target.

    Pairs to adapt to belong to test here.

    Args:
        table: columns drug_key, target_key, split, and domain: the split, or for pairs to adapt to
            the part that they share drugs and targets with.
        drugs: columns drug_key, smiles.
        targets: columns target_key, sequence.
    """

    def __init__(self, table: pd.DataFrame, drugs: pd.DataFrame, targets: pd.DataFrame) -> None:
        self._table = table
        used = table[table["domain"].isin(USED)]
        parts = {part: used[used["domain"] == part] for part in USED}
        self._drugs = {part: rows["drug_key"] for part, rows in parts.items()}
        self._targets = {part: rows["target_key"] for part, rows in parts.items()}
        drug_keys = pd.Index(used["drug_key"].unique())
        smiles = drugs.set_index("drug_key")["smiles"].loc[drug_keys].tolist()
        self._fingerprints = morgan_fingerprints(smiles, ECFP4_RADIUS, ECFP4_BITS)
        self._drug_rows = drug_keys
        self._sequences = targets.set_index("target_key")["sequence"]

    def drug(self, part: str, reference: str) -> pd.Series:
        """Return each unique drug's highest Tanimoto similarity to a drug of ``reference``."""
        keys, references = self._drugs[part].unique(), self._drugs[reference].unique()
        nearest = nearest_tanimoto(
            self._fingerprints[self._drug_rows.get_indexer(keys)],
            self._fingerprints[self._drug_rows.get_indexer(references)],
        )
        return pd.Series(nearest, index=keys)

    def target(self, part: str, reference: str) -> pd.Series:
        """Return each unique target's highest 4-mer similarity to a target of ``reference``."""
        keys, references = self._targets[part].unique(), self._targets[reference].unique()
        nearest = nearest_sequence_similarity(
            self._sequences.loc[keys].tolist(), self._sequences.loc[references].tolist()
        )
        return pd.Series(nearest, index=keys)

    def summary(self) -> NearestTrainSimilarity:
        """Return the nearest-train similarity of the test pairs, by drug, by target and jointly."""
        test = self._table[self._table["split"] == "test"]
        drug = _per_pair(test["drug_key"], self.drug("test", "train"))
        target = _per_pair(test["target_key"], self.target("test", "train"))
        joint = np.histogram2d(drug, target, bins=(_JOINT_EDGES, _JOINT_EDGES))[0]
        unseen = ~test["drug_key"].isin(self._drugs["train"]).to_numpy()
        return NearestTrainSimilarity(
            drug=DrugSimilarity(
                measure="Tanimoto, ECFP4, 2048 bits",
                # Mostly stereoisomers: unseen by key, but the same to a fingerprint.
                unseen_but_identical_pairs=int((unseen & (drug == 1)).sum()),
                quantiles=_quantiles(drug),
                histogram=_histogram(drug),
            ),
            target=TargetSimilarity(
                measure="4-mer similarity",
                quantiles=_quantiles(target),
                histogram=_histogram(target),
            ),
            joint=JointSimilarity(
                drug_edges=_JOINT_EDGES.tolist(),
                target_edges=_JOINT_EDGES.tolist(),
                pairs=joint.astype(int).tolist(),
            ),
        )


def _per_pair(keys: pd.Series, nearest: pd.Series) -> NDArray[np.float64]:
    """Return each pair's similarity, rounded so that a float32 stands in the bin of its decimal."""
    return keys.map(nearest).to_numpy(np.float64).round(DECIMALS)


def _quantiles(values: NDArray[np.float64]) -> Quantiles:
    return Quantiles(
        **{
            name: round(float(np.quantile(values, level)), DECIMALS) if len(values) else None
            for name, level in _QUANTILES.items()
        }
    )


def _histogram(values: NDArray[np.float64]) -> Histogram:
    counts = np.histogram(values, bins=_HISTOGRAM_EDGES)[0]
    return Histogram(edges=_HISTOGRAM_EDGES.tolist(), pairs=counts.tolist())
