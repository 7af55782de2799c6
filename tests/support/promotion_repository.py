"""A repository with trained cheap models and a real registry (SQLite), to promote in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from stages import acquire, prepare, split
from stages import promote as promote_stage
from stages.dti.artifacts.production import Production, Promotion
from stages.dti.artifacts.training import Training
from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.base import build
from stages.dti.config.calibration import CalibrationConfig
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.model import ModelConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.config.split import SplitConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.evaluation.evaluate import evaluate_model
from stages.dti.evaluation.scoring import load_models
from stages.dti.evaluation.test_set import read_test_pairs
from stages.dti.lifecycle.record import read_history
from stages.dti.lifecycle.transitions import promote_decided
from stages.dti.models.base import FitContext
from stages.dti.paths import (
    BASELINES,
    CANDIDATE,
    DECISION,
    EVALUATION,
    METRICS,
    PRODUCTION,
    PROMOTED,
    ROOT,
    SAMPLE,
    TRAINING_METRICS,
    VALIDATION_METRICS,
    Paths,
)
from stages.dti.runtime.compose import compose
from stages.dti.runtime.stage import sections_of
from stages.dti.tracking.registry import aliased_version
from stages.dti.tracking.store import Store, configure
from stages.dti.training.classical import fit_classical
from stages.dti.training.export import finish, load_training_data
from tests.support.artifacts import validated
from tests.support.prepared_tables import write_features
from tests.support.tracking_section import tracking_at, write_empty_store
from tests.support.written_files import files_below

PARAMS = OmegaConf.to_container(compose(["dataset=sample", "split=random", "environment=dev"]))
assert isinstance(PARAMS, dict)
DATASET = build(DatasetConfig, PARAMS["dataset"], "dataset")
PROMOTE = build(
    PromoteConfig, PARAMS["promote"] | {"floor": 0.55, "must_beat": ["base_rate"]}, "promote"
)
DEV = build(EnvironmentConfig, PARAMS["environment"], "environment")
STANDARDISE = build(StandardiseConfig, PARAMS["standardise"], "standardise")
FEATURE_PARAMETERS = FeaturesConfig(
    fingerprint_radius=2, fingerprint_bits=512, max_residues=400, kmer_bins=64
)
CALIBRATION = build(CalibrationConfig, PARAMS["calibration"], "calibration")
EVALUATE = build(EvaluateConfig, PARAMS["evaluate"] | {"bootstrap_samples": 100}, "evaluate")
CHEAP = PARAMS["baselines"]
MODELS: dict[str, dict[str, Any]] = {
    "good": CHEAP["logistic_regression"],
    "other": CHEAP["logistic_regression"] | {"inverse_regularisation": 0.05},
    "base_rate": CHEAP["base_rate"],
    "nearest_neighbour": CHEAP["nearest_neighbour"],
}
REGISTERED = "drug_target_interaction"
NOT_WORSE = "not worse than the promoted model"


def prepare_data(root: Path) -> None:
    """Run the real stages up to split on the pairs of ten targets of the sample."""
    pairs = pd.read_csv(ROOT / SAMPLE / "interactions.csv")
    frequent = pairs["target_id"].value_counts().index[:10]
    (root / SAMPLE).mkdir(parents=True)
    pairs[pairs["target_id"].isin(frequent)].to_csv(root / SAMPLE / "interactions.csv", index=False)
    for name in ("drugs.csv", "targets.csv"):
        shutil.copyfile(ROOT / SAMPLE / name, root / SAMPLE / name)
    plain = DATASET.model_dump()
    for source in plain["sources"].values():
        source["files"]["interactions"]["sha256"] = None
    dataset = DatasetConfig.model_validate(plain)
    paths = Paths(inputs=root, outputs=root)
    acquire.run(paths, dataset=dataset, acquire=build(AcquireConfig, PARAMS["acquire"], "acquire"))
    kinds = {name: kind for name, kind in sections_of(prepare.run).items() if name != "dataset"}
    sections = {name: build(kind, PARAMS[name], name) for name, kind in kinds.items()}
    prepare.run(paths, dataset=dataset, **sections)
    divide(root, seed=0)


def divide(root: Path, seed: int) -> None:
    """Run the stage split."""
    config = build(SplitConfig, PARAMS["split"] | {"seed": seed}, "split")
    split.run(Paths(inputs=root, outputs=root), split=config)


def fit(root: Path, name: str, folder: Path) -> None:
    """Train one of MODELS into ``folder``."""
    data = load_training_data(Paths(inputs=root, outputs=root))
    config = build(ModelConfig, MODELS[name], "model").root
    context = FitContext(seed=0, threads=1, workdir=root, on_epoch=lambda _: None)
    fitted = fit_classical(config, data.train, data.validation, context)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = finish(fitted, config, data, CALIBRATION, STANDARDISE, seed=0)
    made.save(folder)


def evaluate(root: Path) -> None:
    """Write what the evaluate stage writes, without its curves, and what `train` says."""
    paths = Paths(inputs=root, outputs=root)
    models = load_models(paths)
    config = EVALUATE.model_copy(update={"robustness_pairs": 0})
    found = evaluate_model(read_test_pairs(paths), models, config)
    found.metrics.write(root / METRICS)
    found.strata.write(root / EVALUATION / "strata.json")
    found.predictions.to_parquet(root / EVALUATION / "predictions.parquet", index=False)
    content = models["candidate"].content
    Training(
        model=content.config.name, epochs=0, best_epoch=None, **content.validation_metrics.given()
    ).write(root / TRAINING_METRICS)


def propose(root: Path, name: str) -> None:
    """Make a trained model the candidate, and evaluate it."""
    shutil.rmtree(root / CANDIDATE, ignore_errors=True)
    shutil.copytree(root / "models/trained" / name, root / CANDIDATE)
    evaluate(root)


def write_pipeline(root: Path) -> None:
    """Make a repository in which `good` is the candidate; `models/trained/` holds all of MODELS."""
    prepare_data(root)
    write_features(root)
    for name in MODELS:
        fit(root, name, root / "models/trained" / name)
    for name in ("base_rate", "nearest_neighbour"):
        shutil.copytree(root / "models/trained" / name, root / BASELINES / name)
    validated(quality_score=98.5, checks_passed=20, checks_failed=0).write(
        root / VALIDATION_METRICS
    )
    Production().write(root / PRODUCTION)
    propose(root, "good")


class Repository:
    """A copy of the pipeline with a registry of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.new_registry()

    def new_registry(self) -> None:
        """Put an empty registry in the place of the present one."""
        write_empty_store(self.root / "mlflow.db")

    @property
    def tracking(self) -> TrackingConfig:
        """The section ``tracking``."""
        return tracking_at(f"sqlite:///{self.root}/mlflow.db")

    @property
    def store(self) -> Store:
        """The registry."""
        return configure(self.tracking)

    def decide(
        self,
        promote: PromoteConfig = PROMOTE,
        environment: EnvironmentConfig = DEV,
        outputs: Path | None = None,
    ) -> dict[str, Any]:
        """Run the stage and return the decision."""
        paths = Paths(inputs=self.root, outputs=outputs or self.root)
        promote_stage.run(
            paths,
            promote=promote,
            environment=environment,
            dataset=DATASET,
            evaluate=EVALUATE,
            tracking=self.tracking,
        )
        return read(paths.outputs / DECISION)

    def promote(
        self, promote: PromoteConfig = PROMOTE, environment: EnvironmentConfig = DEV
    ) -> dict[str, Any]:
        """Run the stage, promote what passed, and return the decision."""
        decision = self.decide(promote, environment)
        promote_decided(self.root, environment, self.tracking, "c" * 40)
        return decision

    def named(self, alias: str) -> int | None:
        """Return the version that an alias names."""
        return aliased_version(self.store, REGISTERED, alias)

    def record(self, alias: str = "production") -> list[Promotion]:
        """Return what is on record."""
        return read_history(self.root / PRODUCTION, alias)

    def versions(self) -> int:
        """Return how many versions are registered."""
        return len(self.store.client.search_model_versions(f"name = '{REGISTERED}'"))

    def production_runs(self) -> int:
        """Return how many promotions are on record."""
        experiment = self.store.experiment_id("production")
        return len(self.store.client.search_runs([experiment]))

    def written(self) -> dict[str, bytes]:
        """Bytes of the stage's outputs."""
        files = files_below(self.root / PROMOTED)
        return files | {"decision": (self.root / DECISION).read_bytes()}


def read(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def check(decision: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a check of the gate by its name."""
    [found] = [item for item in decision["checks"] if item["name"] == name]
    return dict(found)
