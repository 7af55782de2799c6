"""Tables and features of ten targets, as the stages up to ``featurize`` would leave them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from stages.dti.chemistry.keys import drug_key, target_key
from stages.dti.chemistry.standardise import standardise_smiles
from stages.dti.config.base import SectionT, build
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.features.drugs import DrugFeatures, featurize_drugs
from stages.dti.features.store import FeatureStore, Scaler, Scalers
from stages.dti.features.targets import TargetFeatures, featurize_targets
from stages.dti.paths import DRUGS, FEATURES, INTERACTIONS, ROOT, SAMPLE, SPLITS, TARGETS
from stages.dti.runtime.compose import compose

DEFAULTS: Any = OmegaConf.to_container(compose())


def section(kind: type[SectionT], name: str, **changes: Any) -> SectionT:
    """Return a section as conf/ has it, with a few fields changed."""
    return build(kind, DEFAULTS[name] | changes, name)


FEATURE_PARAMETERS = section(FeaturesConfig, "features", fingerprint_bits=512, kmer_bins=64)
STANDARDISE = section(StandardiseConfig, "standardise")


_TARGET_FACTS = ("target_id", "target_name", "organism", "target_class")


def write_tables(root: Path) -> None:
    """Write the pairs of ten targets as ``prepare`` and ``split`` would.

    Every tenth drug and the last target are kept out of train.
    """
    for artefact, table in _tables().items():
        (root / artefact).parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(root / artefact, index=False)


@cache
def _tables() -> dict[Path, pd.DataFrame]:
    sample = ROOT / SAMPLE
    pairs = pd.read_csv(sample / "interactions.csv")
    frequent = pairs["target_id"].value_counts(sort=True).index[:10]
    pairs = pairs[pairs["target_id"].isin(frequent)].reset_index(drop=True)
    drugs = pd.read_csv(sample / "drugs.csv").merge(pairs[["drug_id"]].drop_duplicates())
    targets = pd.read_csv(sample / "targets.csv").merge(pairs[["target_id"]].drop_duplicates())
    drugs["smiles"] = [standardise_smiles(smiles, STANDARDISE) for smiles in drugs["smiles"]]
    drugs["drug_key"] = drugs["smiles"].map(drug_key)
    targets["target_key"] = targets["sequence"].map(target_key)
    targets = targets.assign(organism="Homo sapiens", target_class=None)
    drugs["drug_name"] = [f"drug {row}" for row in range(len(drugs))]

    pairs = pairs.merge(drugs[["drug_id", "drug_key"]]).merge(targets[["target_id", "target_key"]])
    pairs["label"] = (pairs["affinity"] >= 12.1).astype("int8")
    pairs["source"] = "kiba_sample"
    pairs = pairs.drop_duplicates(["drug_key", "target_key"]).reset_index(drop=True)
    held_out = pairs["drug_key"].isin(drugs["drug_key"][::10]) | (
        pairs["target_id"] == frequent[-1]
    )
    turn = np.arange(len(pairs)) % 10
    part = np.select([held_out, turn == 0, turn < 3], ["test", "test", "val"], "train")
    return {
        DRUGS: drugs[["drug_key", "drug_id", "drug_name", "smiles"]],
        TARGETS: targets[["target_key", *_TARGET_FACTS, "sequence"]],
        INTERACTIONS: pairs[["drug_key", "target_key", "label", "source"]],
        SPLITS: pairs[["drug_key", "target_key"]].assign(split=part),
    }


def write_features(root: Path) -> None:
    """Write the features of the tables below ``root`` as ``featurize`` would."""
    drugs, targets = pd.read_parquet(root / DRUGS), pd.read_parquet(root / TARGETS)
    drug_features, target_features = _features(tuple(drugs["smiles"]), tuple(targets["sequence"]))
    (root / FEATURES).mkdir()
    FeatureStore(
        drugs=drug_features,
        targets=target_features,
        scalers=Scalers(
            Scaler.fit(drug_features.descriptors), Scaler.fit(target_features.descriptors)
        ),
        drug_table=drugs[["drug_key", "smiles"]],
        target_table=targets[["target_key", "sequence"]],
        metadata={"parameters": FEATURE_PARAMETERS.model_dump()},
    ).save(root / FEATURES)


@cache
def _features(
    smiles: tuple[str, ...], sequences: tuple[str, ...]
) -> tuple[DrugFeatures, TargetFeatures]:
    drugs, _ = featurize_drugs(list(smiles), FEATURE_PARAMETERS)
    targets, _ = featurize_targets(list(sequences), FEATURE_PARAMETERS)
    return drugs, targets
