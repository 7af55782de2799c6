"""The model folder: all that a prediction needs, in one place, with no pickle.

=======================  ==========================================================================
model.json               name and configuration, feature and standardisation parameters, feature
                         version, seed, hashes of the data that it was trained on
weights                  as the model writes them (safetensors, LightGBM text, JSON)
                         and, for an ensemble, below members/<name>/<fit>/
scalers.safetensors      fitted on the drugs and targets of train
calibration.json         calibration (an ensemble's members' too), threshold and conformal limits,
                         chosen on validation; limits of the applicability domain, from train
reference/               drugs.parquet, fingerprints.npy, targets.parquet, pairs.npy: what the model
                         was trained on, so that a prediction can say how far from it a pair lies
files.json               every file's sha256, by which an altered or damaged folder is refused
=======================  ==========================================================================
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.artifacts.evaluation import DomainLimits
from stages.dti.artifacts.model import (
    CalibrationFacts,
    ConformalLimits,
    ModelCalibration,
    ModelFacts,
)
from stages.dti.artifacts.model_files import seal
from stages.dti.artifacts.training import Validated
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.model import AnyModel
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.features.store import FEATURE_VERSION, Scalers

if TYPE_CHECKING:
    from stages.dti.models.base import Model
    from stages.dti.uncertainty.applicability_domain import ApplicabilityDomain
    from stages.dti.uncertainty.calibration import Calibration
    from stages.dti.uncertainty.conformal import ConformalSets

FORMAT_VERSION = 3
"""Raised whenever the folder's files change; a folder of another version is refused."""


@dataclass(frozen=True)
class Reference:
    """What a model was trained on.

    Attributes:
        drugs: columns ``drug_id``, ``drug_name`` (str or None), ``smiles`` (canonical) of the
            drugs in train.
        fingerprints: uint8 ``(drugs, bits / 8)``, their packed Morgan fingerprints.
        targets: columns ``target_id``, ``target_name``, ``organism``, ``target_class``,
            ``sequence``, ``in_train``: every target that the model knows by id; only those
            ``in_train`` were trained on.
        pairs: int32 ``(pairs, 2)``, the trained pairs as rows of ``drugs`` and ``targets``.
    """

    drugs: pd.DataFrame
    fingerprints: NDArray[np.uint8]
    targets: pd.DataFrame
    pairs: NDArray[np.int32]

    @property
    def smiles(self) -> list[str]:
        """Canonical SMILES of the drugs in train."""
        return list(self.drugs["smiles"])

    def save(self, folder: Path) -> None:
        """Write the reference below a new ``folder``."""
        folder.mkdir()
        self.drugs.to_parquet(folder / "drugs.parquet", index=False)
        self.targets.to_parquet(folder / "targets.parquet", index=False)
        np.save(folder / "fingerprints.npy", self.fingerprints, allow_pickle=False)
        np.save(folder / "pairs.npy", self.pairs, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """Read what ``save`` wrote."""
        return cls(
            drugs=pd.read_parquet(folder / "drugs.parquet"),
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
        member_calibrations: of an ensemble, one per fitted model, in the order of
            ``Model.member_scores``; else none.
        data_sha256: artefact name → sha256 of the data that the model was trained on.
        validation_metrics: n, AUROC and AUPRC of the model's score on validation.
    """

    config: AnyModel
    model: Model
    scalers: Scalers
    features: FeaturesConfig
    standardise: StandardiseConfig
    calibration: Calibration
    member_calibrations: tuple[Calibration, ...]
    threshold: float
    threshold_metric: str
    conformal: ConformalSets
    domain: ApplicabilityDomain
    reference: Reference
    seed: int
    dataset: str
    data_sha256: dict[str, str]
    validation_metrics: Validated
    feature_version: int = FEATURE_VERSION

    def save(self, folder: Path) -> None:
        """Write everything below an existing, empty ``folder``."""
        self.model.save(folder)
        self.scalers.save(folder / "scalers.safetensors")
        self.reference.save(folder / "reference")
        ModelCalibration(
            calibration=CalibrationFacts(**self.calibration.to_dict()),
            member_calibrations=[
                CalibrationFacts(**made.to_dict()) for made in self.member_calibrations
            ],
            threshold=self.threshold,
            threshold_metric=self.threshold_metric,
            conformal=ConformalLimits(**asdict(self.conformal)),
            domain=DomainLimits(**asdict(self.domain)),
            validation_metrics=self.validation_metrics,
        ).write(folder / "calibration.json")
        ModelFacts(
            format_version=FORMAT_VERSION,
            name=self.config.name,
            config=self.config.model_dump(),
            features=self.features.model_dump(),
            standardise=self.standardise.model_dump(),
            feature_version=FEATURE_VERSION,
            seed=self.seed,
            dataset=self.dataset,
            data_sha256=self.data_sha256,
        ).write(folder / "model.json")
        seal(folder)
