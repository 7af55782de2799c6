"""Stage ``featurize``: features of each unique drug and each unique target.

Reads sections ``features`` and ``featurize``, and:

- ``data/interim/drugs.parquet``: drug_key, smiles (str)
- ``data/interim/targets.parquet``: target_key, sequence (str)
- ``data/processed/splits.parquet``: drug_key, target_key, split; the scalers are fitted on the
  drugs and targets of ``train`` alone

Writes ``data/processed/features/`` (``stages/dti/features/store.py``; a ``.npy`` per array):

- ``drugs/``: atoms (int8, all molecules' atoms × 74), bonds (int32 × 2, each once), fingerprints
  (uint8, drugs × bits / 8, packed), descriptors (float32, drugs × columns, unscaled), offsets
- ``targets/``: residues (uint8 tokens 1–25), descriptors (float32, targets × columns), embeddings
  (float32, rows × width of the language model; empty if ``features.embedding`` is null), offsets
- ``drugs.parquet``, ``targets.parquet``: which key each row belongs to
- ``scalers.safetensors``: mean and scale of each descriptor in train
- ``rejected.parquet``: key, kind (``drug`` or ``target``), reason; they have no features
- ``metadata.json``: feature version, parameters, names of all columns, counts, RDKit's version
- ``csv/``, if ``featurize.export_csv``: drug_descriptors, drug_fingerprints (numbers of the set
  bits), target_descriptors

and ``reports/featurize_metrics.json``: the counts. Embeddings are kept in ``data/cache/`` too.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rdkit

from stages.dti.artifacts.featurize import FeaturizeMetrics
from stages.dti.config.features import FeaturesConfig, FeaturizeConfig
from stages.dti.errors import DataError
from stages.dti.features.drugs import ATOM_FEATURES, DRUG_DESCRIPTORS, featurize_drugs
from stages.dti.features.embeddings import pin_embedding
from stages.dti.features.store import FeatureStore, Scaler, Scalers
from stages.dti.features.targets import RESIDUE_ALPHABET, featurize_targets, target_descriptor_names
from stages.dti.files import write_folder
from stages.dti.paths import CACHE, DRUGS, FEATURES, FEATURIZE_METRICS, SPLITS, TARGETS, Paths
from stages.dti.runtime.stage import main

logger = logging.getLogger(__name__)


def run(paths: Paths, *, features: FeaturesConfig, featurize: FeaturizeConfig) -> None:
    """Compute the features, fit the scalers on train, write the store."""
    drugs = pd.read_parquet(paths.read(DRUGS))[["drug_key", "smiles"]]
    targets = pd.read_parquet(paths.read(TARGETS))[["target_key", "sequence"]]
    splits = pd.read_parquet(paths.read(SPLITS))

    store, rejected = build_store(drugs, targets, splits, features, paths.inputs / CACHE)
    for row in rejected.itertuples():
        logger.warning("%s %s has no features: %s", row.kind, row.key, row.reason)

    with write_folder(paths.write(FEATURES)) as folder:
        store.save(folder)
        rejected.to_parquet(folder / "rejected.parquet", index=False)
        if featurize.export_csv:
            export_csv(store, folder / "csv")
    FeaturizeMetrics(**store.metadata["counts"]).write(paths.write(FEATURIZE_METRICS))


def build_store(
    drugs: pd.DataFrame,
    targets: pd.DataFrame,
    splits: pd.DataFrame,
    config: FeaturesConfig,
    cache: Path,
) -> tuple[FeatureStore, pd.DataFrame]:
    """Return the store and the rejected (columns key, kind, reason).

    Raises:
        DataError: no drug, no target, or none of those in train can be featurized.
        ModelError: the language model that ``config`` names cannot be loaded.
    """
    config = pin_embedding(config)
    drug_features, bad_drugs = featurize_drugs(
        drugs["smiles"].tolist(), config, processes=None, progress=True
    )
    target_features, bad_targets = featurize_targets(
        targets["sequence"].tolist(), config, cache=cache, threads=None, progress=True
    )
    rejected = pd.concat(
        [
            _rejected(drugs["drug_key"], "drug", bad_drugs),
            _rejected(targets["target_key"], "target", bad_targets),
        ],
        ignore_index=True,
    )
    for kind, total, valid, artefact in (
        ("drug", len(drugs), len(drug_features), DRUGS),
        ("target", len(targets), len(target_features), TARGETS),
    ):
        if not valid:
            first = "; ".join(rejected.loc[rejected["kind"] == kind, "reason"].head(3))
            raise DataError(
                f"none of the {total} {kind}s in {artefact} can be featurized ({first}); "
                "check the data set's columns, then run `dvc repro`"
            )

    drug_table = drugs.drop(index=drugs.index[list(bad_drugs)]).reset_index(drop=True)
    target_table = targets.drop(index=targets.index[list(bad_targets)]).reset_index(drop=True)
    cut = target_table["sequence"].str.len() > config.max_residues
    train = splits[splits["split"] == "train"]
    train_drugs = drug_table["drug_key"].isin(train["drug_key"]).to_numpy()
    train_targets = target_table["target_key"].isin(train["target_key"]).to_numpy()
    if not (train_drugs.any() and train_targets.any()):
        raise DataError(
            f"no drug or no target of train has features, so nothing can be scaled; {SPLITS} and "
            f"{DRUGS} do not belong together, or the split left train empty: run `dvc repro split`"
        )

    store = FeatureStore(
        drugs=drug_features,
        targets=target_features,
        scalers=Scalers(
            drug_descriptors=Scaler.fit(drug_features.descriptors[train_drugs]),
            target_descriptors=Scaler.fit(target_features.descriptors[train_targets]),
        ),
        drug_table=drug_table,
        target_table=target_table,
        metadata={
            "parameters": config.model_dump(),
            "rdkit_version": rdkit.__version__,
            "columns": {
                "atoms": list(ATOM_FEATURES),
                "drug_descriptors": list(DRUG_DESCRIPTORS),
                "target_descriptors": list(target_descriptor_names(config.kmer_bins)),
                "residues": RESIDUE_ALPHABET,
            },
            "counts": {
                "drugs": len(drug_table),
                "drugs_rejected": len(bad_drugs),
                "drugs_in_train": int(train_drugs.sum()),
                "atoms": len(drug_features.atoms),
                "bonds": len(drug_features.bonds),
                "targets": len(target_table),
                "targets_rejected": len(bad_targets),
                "targets_in_train": int(train_targets.sum()),
                "targets_cut": int(cut.sum()),
                "residues": len(target_features.residues),
            },
        },
    )
    return store, rejected


def export_csv(store: FeatureStore, folder: Path) -> None:
    """Write descriptors and fingerprints below a new ``folder``, nine digits: float32 exactly."""
    folder.mkdir()
    columns = store.metadata["columns"]
    descriptors = pd.DataFrame(store.drugs.descriptors, columns=columns["drug_descriptors"])
    tables: dict[str, Any] = {
        "drug_descriptors": pd.concat([store.drug_table, descriptors], axis=1),
        "drug_fingerprints": store.drug_table.assign(
            set_bits=[
                " ".join(str(bit) for bit in np.flatnonzero(row))
                for row in np.unpackbits(store.drugs.fingerprints, axis=1)
            ]
        ),
        "target_descriptors": pd.concat(
            [
                store.target_table[["target_key"]],
                pd.DataFrame(store.targets.descriptors, columns=columns["target_descriptors"]),
            ],
            axis=1,
        ),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.9g")


def _rejected(keys: pd.Series[str], kind: str, reasons: dict[int, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "key": keys.iloc[list(reasons)].to_numpy(dtype=object),
            "kind": pd.Series([kind] * len(reasons), dtype=object),
            "reason": pd.Series(list(reasons.values()), dtype=object),
        }
    )


if __name__ == "__main__":
    main(run)
