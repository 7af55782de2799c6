"""A small exported model, and the service that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from stages.dti.artifacts.export import EXPORTED
from stages.dti.artifacts.model_files import seal_export
from stages.dti.chemistry.standardise import standardise_smiles
from stages.dti.config.features import FeaturesConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import Scaler, Scalers
from stages.dti.features.targets import featurize_targets
from stages.dti.files import write_json, write_text
from stages.dti.lifecycle.golden import golden_predictions
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.paths import ROOT, SAMPLE
from stages.dti.prediction.folder import ModelFolder, Reference
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair
from stages.dti.uncertainty.applicability_domain import ApplicabilityDomain
from stages.dti.uncertainty.calibration import Calibration
from stages.dti.uncertainty.conformal import ConformalSets
from tests.support.artifacts import VALIDATED
from tests.support.drugban_sizes import drugban_of
from tests.support.prepared_tables import STANDARDISE
from tests.support.service_process import Service, running


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported DrugBAN with random weights, and 20 drugs and 12 targets of the sample as train.

    What the service does with a model does not depend on how well it was trained.
    """
    folder = tmp_path_factory.mktemp("promoted")
    features = FeaturesConfig(
        fingerprint_radius=2, fingerprint_bits=2048, max_residues=1200, kmer_bins=1024
    )
    standardise = STANDARDISE
    drugs = pd.read_csv(ROOT / SAMPLE / "drugs.csv", nrows=20)
    targets = pd.read_csv(ROOT / SAMPLE / "targets.csv", nrows=12)
    smiles = [standardise_smiles(text, standardise) for text in drugs["smiles"]]
    drug_features, _ = featurize_drugs(smiles, features)
    target_features, _ = featurize_targets(list(targets["sequence"]), features)
    torch.manual_seed(0)
    config = drugban_of(
        graph_dim=16,
        graph_layers=2,
        residue_dim=16,
        cnn_filters=(16, 16),
        cnn_kernels=(3, 5),
        ban_heads=2,
        ban_dim=16,
        ban_pooling=2,
        mlp_hidden_dim=16,
        mlp_out_dim=8,
        dropout=0.0,
    )
    # One row in three stands in train, so that some pairs of known drugs and targets are new.
    pairs = [(d, t) for d in range(20) for t in range(12) if (d + t) % 3 == 0]
    ModelFolder(
        config=config,
        model=DrugBAN(DrugBANNetwork(config)),
        scalers=Scalers(
            drug_descriptors=Scaler.fit(drug_features.descriptors),
            target_descriptors=Scaler.fit(target_features.descriptors),
        ),
        features=features,
        standardise=standardise,
        calibration=Calibration(method="platt", slope=1.5, intercept=-0.25),
        member_calibrations=(),
        threshold=0.45,
        threshold_metric="f1",
        conformal=ConformalSets(
            coverage=0.9, positives=50, negatives=50, active_from=0.4, inactive_to=0.5
        ),
        domain=ApplicabilityDomain(drug_limit=0.4, target_limit=0.3),
        reference=Reference(
            drugs=pd.DataFrame(
                {
                    "drug_id": drugs["drug_id"],
                    "drug_name": [f"drug {row}" for row in range(20)],
                    "smiles": smiles,
                }
            ),
            fingerprints=drug_features.fingerprints,
            targets=pd.DataFrame(
                {
                    "target_id": targets["target_id"],
                    "target_name": targets["target_name"],
                    "organism": "Homo sapiens",
                    "target_class": None,
                    "sequence": targets["sequence"],
                    "in_train": True,
                }
            ),
            pairs=np.asarray(pairs, dtype=np.int32),
        ),
        seed=0,
        dataset="sample",
        data_sha256={},
        validation_metrics=VALIDATED,
    ).save(folder)
    add_promotion(folder)
    return folder


def add_promotion(folder: Path) -> None:
    """Write what promotion adds to a model folder and the service reads."""
    predictor = Predictor.load(folder)
    reference = predictor.content.reference
    test = pd.DataFrame(
        {"smiles": reference.smiles[:3], "sequence": reference.targets["sequence"][:3]}
    )
    answers = predictor.predict([Pair(*row) for row in test.itertuples(index=False, name=None)])
    test["candidate_score"] = [answer.score for answer in answers]
    write_text(folder / "MODEL_CARD.md", "# A model\n")
    golden_predictions(predictor, test, 3).write(folder / "golden.json")
    write_json(folder / "metrics.json", {"candidate": {"auroc": {"value": 0.5}}})
    write_json(
        folder / "version.json",
        {"model": "drugban", "model_sha256": predictor.info.sha256},
    )
    seal_export(folder, EXPORTED)


@pytest.fixture(scope="session")
def service(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, ready."""
    with running(model_folder, tmp_path_factory.mktemp("service") / "log.txt") as service:
        service.wait_until(lambda: service.status() == 200, "the service to be ready")
        yield service


@pytest.fixture(scope="session")
def predictor(model_folder: Path) -> Predictor:
    """The same model, called directly."""
    return Predictor.load(model_folder)
