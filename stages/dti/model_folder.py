"""The model folder: all that a prediction needs, in one place, with no pickle.

=======================  ==========================================================================
model.json               name and configuration, feature and standardisation parameters, feature
                         version, seed, hashes of the data that it was trained on
weights                  as the model writes them (safetensors, LightGBM text, JSON)
scalers.safetensors      fitted on the drugs and targets of train
calibration.json         calibration and threshold, both chosen on validation
reference/               drugs.parquet, fingerprints.npy, targets.parquet, pairs.npy: what the model
                         was trained on, so that a prediction can say how far from it a pair lies
=======================  ==========================================================================
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.atomic import write_json
from stages.dti.config.base import build
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.model import AnyModel
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import ModelError
from stages.dti.evaluation.calibration import Calibration
from stages.dti.features.store import FEATURE_VERSION, Scalers
from stages.dti.models.base import Model
from stages.dti.models.registry import load_model, model_config


@dataclass(frozen=True)
class Reference:
    """What a model was trained on.

    Attributes:
        smiles: canonical SMILES of the drugs in train.
        fingerprints: uint8 ``(drugs, bits / 8)``, their packed Morgan fingerprints.
        targets: columns ``target_id``, ``target_name``, ``sequence``, ``in_train``: every target
            that the model knows by id; only those ``in_train`` were trained on.
        pairs: int32 ``(pairs, 2)``, the trained pairs as rows of ``smiles`` and ``targets``.
    """

    smiles: list[str]
    fingerprints: NDArray[np.uint8]
    targets: pd.DataFrame
    pairs: NDArray[np.int32]

    def save(self, folder: Path) -> None:
        """Write the reference below a new ``folder``."""
        folder.mkdir()
        pd.DataFrame({"smiles": self.smiles}).to_parquet(folder / "drugs.parquet", index=False)
        self.targets.to_parquet(folder / "targets.parquet", index=False)
        np.save(folder / "fingerprints.npy", self.fingerprints, allow_pickle=False)
        np.save(folder / "pairs.npy", self.pairs, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """Read what ``save`` wrote."""
        return cls(
            smiles=pd.read_parquet(folder / "drugs.parquet")["smiles"].tolist(),
            fingerprints=np.load(folder / "fingerprints.npy", allow_pickle=False),
            targets=pd.read_parquet(folder / "targets.parquet"),
            pairs=np.load(folder / "pairs.npy", allow_pickle=False),
        )


@dataclass(frozen=True)
class ModelFolder:
    """A trained model with everything that its predictions depend on.

    Attributes:
        threshold: on the calibrated probability; at or above it a pair is said to interact.
        threshold_metric: what the threshold maximises on validation.
        data_sha256: artefact name → sha256 of the data that the model was trained on.
        validation_metrics: n, AUROC and AUPRC of the model's score on validation.
    """

    config: AnyModel
    model: Model
    scalers: Scalers
    features: FeaturesConfig
    standardise: StandardiseConfig
    calibration: Calibration
    threshold: float
    threshold_metric: str
    reference: Reference
    seed: int
    dataset: str
    data_sha256: dict[str, str]
    validation_metrics: dict[str, float]
    feature_version: int = FEATURE_VERSION

    def save(self, folder: Path) -> None:
        """Write everything below an existing, empty ``folder``."""
        self.model.save(folder)
        self.scalers.save(folder / "scalers.safetensors")
        self.reference.save(folder / "reference")
        write_json(
            folder / "calibration.json",
            {
                "calibration": self.calibration.to_dict(),
                "threshold": self.threshold,
                "threshold_metric": self.threshold_metric,
                "validation_metrics": self.validation_metrics,
            },
        )
        write_json(
            folder / "model.json",
            {
                "name": self.config.name,
                "config": self.config.model_dump(),
                "features": self.features.model_dump(),
                "standardise": self.standardise.model_dump(),
                "feature_version": FEATURE_VERSION,
                "seed": self.seed,
                "dataset": self.dataset,
                "data_sha256": self.data_sha256,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> ModelFolder:
        """Read what ``save`` wrote.

        Raises:
            ModelError: a file is missing, or the folder was written for other features.
        """
        facts = _read_json(folder, "model.json")
        decision = _read_json(folder, "calibration.json")
        if facts["feature_version"] != FEATURE_VERSION:
            raise ModelError(
                f"the model in {folder} was trained on feature version {facts['feature_version']}, "
                f"this code computes {FEATURE_VERSION}; train it again with `dvc repro`"
            )
        config = model_config(facts["config"])
        try:
            return cls(
                config=config,
                model=load_model(config, folder),
                scalers=Scalers.load(folder / "scalers.safetensors"),
                features=build(FeaturesConfig, facts["features"], "features"),
                standardise=build(StandardiseConfig, facts["standardise"], "standardise"),
                calibration=Calibration.from_dict(decision["calibration"]),
                threshold=decision["threshold"],
                threshold_metric=decision["threshold_metric"],
                reference=Reference.load(folder / "reference"),
                seed=facts["seed"],
                dataset=facts["dataset"],
                data_sha256=facts["data_sha256"],
                validation_metrics=decision["validation_metrics"],
            )
        except FileNotFoundError as error:
            raise ModelError(
                f"the model in {folder} is incomplete: {error.filename or error} is missing; "
                "run `dvc repro`, or name another folder"
            ) from error


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} holds no model ({name} is missing); run `dvc repro`, which exports one, "
            "or name another folder"
        ) from error
    return content
