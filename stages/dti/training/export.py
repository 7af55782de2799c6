"""From a fitted model to a model folder: calibration and threshold chosen on validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from stages.dti.config.features import FeaturesConfig
from stages.dti.config.model import AnyModel
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.trainer import TrainConfig
from stages.dti.errors import DataError
from stages.dti.evaluation.calibration import Calibration, choose_threshold
from stages.dti.features.store import FeatureStore, PairData
from stages.dti.lifecycle.provenance import artefact_hashes
from stages.dti.model_folder import ModelFolder, Reference
from stages.dti.models.base import Model
from stages.dti.paths import FEATURES, INTERACTIONS, SPLITS, TARGETS, Paths


@dataclass(frozen=True)
class TrainingData:
    """Train and validation pairs with their features, and what a model folder says of them."""

    train: PairData
    validation: PairData
    features: FeaturesConfig
    reference: Reference
    dataset: str
    data_sha256: dict[str, str]


def load_training_data(paths: Paths) -> TrainingData:
    """Read the pairs, their split and their features.

    Raises:
        DataError: train or validation is empty or holds one class only.
    """
    interactions = pd.read_parquet(paths.read(INTERACTIONS))
    splits = pd.read_parquet(paths.read(SPLITS))
    targets = pd.read_parquet(paths.read(TARGETS))
    store = FeatureStore.open(paths.read(FEATURES))
    pairs = interactions.merge(splits, on=["drug_key", "target_key"], validate="one_to_one")
    featurized = pairs["drug_key"].isin(store.drug_table["drug_key"]) & pairs["target_key"].isin(
        store.target_table["target_key"]
    )
    parts = {}
    for part in ("train", "val"):
        rows = pairs[(pairs["split"] == part) & featurized]
        if rows["label"].nunique() < 2:
            raise DataError(
                f"the {part} part holds {len(rows)} pairs of {rows['label'].nunique()} class(es); "
                "training needs both; change split.kind, split.seed or the label thresholds"
            )
        parts[part] = store.pairs(rows)
    return TrainingData(
        train=parts["train"],
        validation=parts["val"],
        features=FeaturesConfig.model_validate(store.metadata["parameters"]),
        reference=_reference(store, parts["train"], targets),
        dataset=", ".join(sorted(set("+".join(interactions["source"].unique()).split("+")))),
        data_sha256=artefact_hashes(
            {
                artefact.as_posix(): paths.read(artefact)
                for artefact in (INTERACTIONS, SPLITS, FEATURES)
            }
        ),
    )


def finish(
    model: Model,
    config: AnyModel,
    data: TrainingData,
    train: TrainConfig,
    standardise: StandardiseConfig,
) -> ModelFolder:
    """Calibrate ``model`` and choose its threshold on validation alone."""
    assert data.validation.labels is not None
    scores = model.score(data.validation)
    calibration = Calibration.fit(train.calibration, scores, data.validation.labels)
    probabilities = calibration.apply(scores)
    return ModelFolder(
        config=config,
        model=model,
        scalers=data.train.scalers,
        features=data.features,
        standardise=standardise,
        calibration=calibration,
        threshold=choose_threshold(probabilities, data.validation.labels, train.threshold_metric),
        threshold_metric=train.threshold_metric,
        reference=data.reference,
        seed=train.seed,
        dataset=data.dataset,
        data_sha256=data.data_sha256,
        validation_metrics={
            "val_pairs": len(data.validation),
            "val_auroc": round(float(roc_auc_score(data.validation.labels, scores)), 6),
            "val_auprc": round(float(average_precision_score(data.validation.labels, scores)), 6),
        },
    )


def _reference(store: FeatureStore, train: PairData, targets: pd.DataFrame) -> Reference:
    trained_drugs = np.unique(train.drug_index)
    trained_targets = np.unique(train.target_index)
    known = store.target_table.merge(
        targets[["target_key", "target_id", "target_name"]], on="target_key", how="left"
    )
    known["in_train"] = np.isin(np.arange(len(known)), trained_targets)
    drug_row = np.searchsorted(trained_drugs, train.drug_index)
    return Reference(
        smiles=store.drug_table["smiles"].iloc[trained_drugs].tolist(),
        fingerprints=np.ascontiguousarray(store.drugs.fingerprints[trained_drugs]),
        targets=known[["target_id", "target_name", "sequence", "in_train"]],
        pairs=np.stack([drug_row, train.target_index], axis=1).astype(np.int32),
    )
