"""Tables for the tests of splits: the sample's real drugs, targets and pairs, and parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.dti.chemistry.keys import drug_key, target_key
from stages.dti.config.split import SplitConfig
from stages.dti.data.splitting.splits import make_split

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
KINDS = ("random", "cold_drug", "cold_target", "cold_pair", "scaffold", "cluster", "published")


def config(kind: str, **changes: Any) -> SplitConfig:
    """The section ``split`` as conf/ has it, with ``changes``."""
    values = {
        "kind": kind,
        "train_fraction": 0.8,
        "val_fraction": 0.1,
        "test_fraction": 0.1,
        "adapt_fraction": 0.0,
        "seed": 0,
        "validation_fold": 0,
        "cluster_drug_similarity": 0.6,
        "cluster_target_similarity": 0.5,
        "max_overlap_fraction": 0.0,
    }
    return SplitConfig.model_validate(values | changes)


@dataclass(frozen=True)
class Tables:
    """What ``prepare`` writes, as far as ``split`` reads it."""

    interactions: pd.DataFrame
    drugs: pd.DataFrame
    targets: pd.DataFrame

    def __iter__(self):
        return iter((self.interactions, self.drugs, self.targets))


def tables(pairs: pd.DataFrame) -> Tables:
    """Make the tables of ``pairs``: columns smiles, sequence, label, published_split."""
    keyed = pairs.assign(
        drug_key=pairs["smiles"].map(drug_key), target_key=pairs["sequence"].map(target_key)
    )
    interactions = keyed[["drug_key", "target_key", "label", "published_split"]]
    return Tables(
        interactions.astype({"label": "int8"}).reset_index(drop=True),
        keyed[["drug_key", "smiles"]].drop_duplicates().reset_index(drop=True),
        keyed[["target_key", "sequence"]].drop_duplicates().reset_index(drop=True),
    )


def parts_of(whole: Tables, settings: SplitConfig) -> np.ndarray:
    """The part of each pair."""
    return make_split(*whole, settings)["split"].to_numpy()


def with_parts(whole: Tables, parts: Sequence[str] | np.ndarray) -> pd.DataFrame:
    """The table of a split with the ``parts``: validation as fold 0, train as fold 1."""
    folds = pd.Series(list(parts)).map({"val": 0, "train": 1}).fillna(-1).astype("int8")
    keys = whole.interactions[["drug_key", "target_key"]]
    return keys.assign(split=list(parts), fold=folds.to_numpy())


@cache
def sample() -> Tables:
    """The 5,000 pairs of data/sample."""
    pairs = (
        pd.read_csv(SAMPLE / "interactions.csv")
        .merge(pd.read_csv(SAMPLE / "drugs.csv"))
        .merge(pd.read_csv(SAMPLE / "targets.csv"))
    )
    pairs["label"] = (pairs["affinity"] >= 12.1).astype("int8")
    return tables(pairs.rename(columns={"cold_split": "published_split"}))


def grid(
    smiles: list[str], sequences: list[str], labels: list[int] | None = None, seed: int = 0
) -> Tables:
    """Every drug with every target; labels given, or one in three positive at random."""
    pairs = pd.DataFrame(
        [(s, q) for s in smiles for q in sequences], columns=["smiles", "sequence"]
    )
    generator = np.random.default_rng(seed)
    pairs["label"] = generator.random(len(pairs)) < 1 / 3 if labels is None else labels
    pairs["published_split"] = None
    return tables(pairs)


def smiles_and_sequences(drugs: int, targets: int) -> tuple[list[str], list[str]]:
    """Return the sample's first ``drugs`` SMILES and first ``targets`` sequences."""
    whole = sample()
    return (
        whole.drugs["smiles"].head(drugs).tolist(),
        whole.targets["sequence"].head(targets).tolist(),
    )
