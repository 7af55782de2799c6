"""From a fitted model to a model folder: calibration and threshold chosen on validation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from stages.dti.artifacts.training import Validated
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.model import AnyModel
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import DataError
from stages.dti.features.store import FeatureStore, PairData
from stages.dti.hashing import artefact_hashes
from stages.dti.models.base import Model
from stages.dti.paths import DRUGS, FEATURES, INTERACTIONS, SPLITS, TARGETS, Paths
from stages.dti.prediction.folder import ModelFolder, Reference
from stages.dti.uncertainty.applicability_domain import ApplicabilityDomain
from stages.dti.uncertainty.calibration import Calibration, choose_threshold
from stages.dti.uncertainty.conformal import ConformalSets


@dataclass(frozen=True)
class TrainingData:
    """Train and validation pairs with their features, and what a model folder says of them.

    Attributes:
        conformal: the pairs that conformal prediction is fitted on: validation, or pairs that were
            set aside from it.
        unlabelled: pairs of the test domain to adapt to (part ``adapt``), without their labels.
    """

    train: PairData
    validation: PairData
    conformal: PairData
    unlabelled: PairData
    features: FeaturesConfig
    reference: Reference
    domain: ApplicabilityDomain
    dataset: str
    data_sha256: dict[str, str]


def load_training_data(paths: Paths, conformal_fraction: float = 0.0) -> TrainingData:
    """Read the pairs, their split and their features.

    Args:
        conformal_fraction: share of the validation pairs that is set aside for conformal
            prediction.

    Raises:
        DataError: train, validation or the pairs set aside are empty or hold one class only.
    """
    interactions = pd.read_parquet(paths.read(INTERACTIONS))
    splits = pd.read_parquet(paths.read(SPLITS))
    drugs = pd.read_parquet(paths.read(DRUGS))
    targets = pd.read_parquet(paths.read(TARGETS))
    store = FeatureStore.open(paths.read(FEATURES))
    pairs = interactions.merge(splits, on=["drug_key", "target_key"], validate="one_to_one")
    featurized = pairs["drug_key"].isin(store.drug_table["drug_key"]) & pairs["target_key"].isin(
        store.target_table["target_key"]
    )
    apart = (pairs["split"] == "val") & (_positions(pairs) < conformal_fraction)
    chosen = {"train": pairs["split"] == "train", "val": (pairs["split"] == "val") & ~apart}
    if conformal_fraction:
        chosen["conformal"] = apart
    parts = {}
    for part, of_part in chosen.items():
        rows = pairs[of_part & featurized]
        if rows["label"].nunique() < 2:
            raise DataError(
                f"the {part} part holds {len(rows)} pairs of {rows['label'].nunique()} class(es); "
                "training needs both; change split.kind, split.seed, "
                "calibration.conformal_fraction or the label thresholds"
            )
        parts[part] = store.pairs(rows)
    adapt = pairs[(pairs["split"] == "adapt") & featurized].drop(columns="label")
    reference = _reference(store, parts["train"], drugs, targets)
    return TrainingData(
        train=parts["train"],
        validation=parts["val"],
        conformal=parts.get("conformal", parts["val"]),
        unlabelled=store.pairs(adapt),
        features=FeaturesConfig.model_validate(store.metadata["parameters"]),
        reference=reference,
        domain=ApplicabilityDomain.fit(
            reference.fingerprints,
            reference.targets.loc[reference.targets["in_train"], "sequence"].tolist(),
        ),
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
    calibration: CalibrationConfig,
    standardise: StandardiseConfig,
    seed: int,
) -> ModelFolder:
    """Calibrate ``model``, choose its threshold and fit its prediction sets on validation alone.

    Args:
        seed: what ``model`` was fitted with; the folder says so.
    """
    labels = data.validation.labels
    assert labels is not None
    assert data.conformal.labels is not None
    member_scores = model.member_scores(data.validation)
    scores = model.combine(member_scores)
    calibrated = Calibration.fit(calibration.method, scores, labels)
    probabilities = calibrated.apply(scores)
    is_ensemble = len(member_scores) > 1
    if data.conformal is data.validation:
        conformal_probabilities = probabilities
    else:
        conformal_probabilities = calibrated.apply(model.score(data.conformal))
    return ModelFolder(
        config=config,
        model=model,
        scalers=data.train.scalers,
        features=data.features,
        standardise=standardise,
        calibration=calibrated,
        member_calibrations=tuple(
            Calibration.fit(calibration.method, row, labels) for row in member_scores
        )
        if is_ensemble
        else (),
        threshold=choose_threshold(probabilities, labels, calibration.threshold_metric),
        threshold_metric=calibration.threshold_metric,
        conformal=ConformalSets.fit(
            conformal_probabilities, data.conformal.labels, calibration.conformal_coverage
        ),
        domain=data.domain,
        reference=data.reference,
        seed=seed,
        dataset=data.dataset,
        data_sha256=data.data_sha256,
        validation_metrics=Validated(
            val_pairs=len(data.validation),
            val_auroc=round(float(roc_auc_score(labels, scores)), 6),
            val_auprc=round(float(average_precision_score(labels, scores)), 6),
        ),
    )


def _positions(pairs: pd.DataFrame) -> NDArray[np.float64]:
    """Return a place in [0, 1) per pair, float64 ``(pairs,)``, by a hash of its keys alone."""
    keys = (pairs["drug_key"] + " " + pairs["target_key"]).str.encode("ascii")
    digests = b"".join(hashlib.sha256(key).digest()[:4] for key in keys)
    return np.frombuffer(digests, dtype=">u4").astype(np.float64) / 2**32


def _reference(
    store: FeatureStore, train: PairData, drugs: pd.DataFrame, targets: pd.DataFrame
) -> Reference:
    trained_drugs = np.unique(train.drug_index)
    trained_targets = np.unique(train.target_index)
    facts = ["target_id", "target_name", "organism", "target_class"]
    known = store.target_table.merge(
        targets[["target_key", *facts]], on="target_key", how="left", validate="one_to_one"
    )
    trained = store.drug_table.iloc[trained_drugs].merge(
        drugs[["drug_key", "drug_id", "drug_name"]],
        on="drug_key",
        how="left",
        validate="one_to_one",
    )
    known["in_train"] = np.isin(np.arange(len(known)), trained_targets)
    drug_row = np.searchsorted(trained_drugs, train.drug_index)
    return Reference(
        drugs=trained[["drug_id", "drug_name", "smiles"]],
        fingerprints=np.ascontiguousarray(store.drugs.fingerprints[trained_drugs]),
        targets=known[[*facts, "sequence", "in_train"]],
        pairs=np.stack([drug_row, train.target_index], axis=1).astype(np.int32),
    )
