"""The promote stage on measured kinase pairs, with cheap models and a real registry (SQLite)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from prepared_tables import write_features
from sklearn.metrics import roc_auc_score

from stages import acquire, prepare, split
from stages import promote as promote_stage
from stages.dti.atomic import write_json
from stages.dti.compose import compose
from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.base import build
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.model import ModelConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.config.split import SplitConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.config.trainer import TrainConfig
from stages.dti.data.test_pairs import read_test_pairs
from stages.dti.errors import DataError, ModelError
from stages.dti.evaluation.conformal import coverage_report
from stages.dti.evaluation.metrics import RANKING, Comparison, counts
from stages.dti.evaluation.strata import stratify
from stages.dti.lifecycle import registry
from stages.dti.lifecycle.promotion import CARD, NO_MODEL, VERSION, WRITTEN_HERE
from stages.dti.lifecycle.provenance import folder_sha256
from stages.dti.lifecycle.pyfunc import PredictorModel
from stages.dti.lifecycle.registry import aliased_version, fetch
from stages.dti.lifecycle.tracking import Store, configure
from stages.dti.models.base import FitContext
from stages.dti.paths import (
    BASELINES,
    CANDIDATE,
    DECISION,
    EVALUATION,
    INTERACTIONS,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PROMOTED,
    ROOT,
    SAMPLE,
    SPLITS,
    TRAINING_METRICS,
    VALIDATION_METRICS,
    Paths,
)
from stages.dti.predictor import Pair, Predictor
from stages.dti.scoring import load_models, score
from stages.dti.stage import sections_of
from stages.dti.training.classical import fit_classical
from stages.dti.training.export import finish, load_training_data

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
TRAIN = build(TrainConfig, PARAMS["train"], "train")
EVALUATE = build(EvaluateConfig, PARAMS["evaluate"] | {"bootstrap_samples": 100}, "evaluate")

CHEAP = PARAMS["baselines"]
MODELS: dict[str, dict[str, Any]] = {
    "good": CHEAP["logistic_regression"],
    "other": CHEAP["logistic_regression"] | {"inverse_regularisation": 0.05},
    "base_rate": CHEAP["base_rate"],
    "nearest_neighbour": CHEAP["nearest_neighbour"],
}


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
    config = build(SplitConfig, PARAMS["split"] | {"seed": seed}, "split")
    split.run(Paths(inputs=root, outputs=root), split=config)


def fit(root: Path, name: str, folder: Path) -> None:
    data = load_training_data(Paths(inputs=root, outputs=root))
    config = build(ModelConfig, MODELS[name], "model").root
    context = FitContext(seed=0, threads=1, workdir=root, on_epoch=lambda _: None)
    fitted = fit_classical(config, data.train, data.validation, context)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = finish(fitted, config, data, TRAIN, STANDARDISE)
    made.save(folder)


def evaluate(root: Path) -> None:
    """Write what the evaluate stage writes, without its pictures."""
    test = read_test_pairs(Paths(inputs=root, outputs=root))
    models = load_models(Paths(inputs=root, outputs=root))
    nearness, outputs = score(models, test)
    test = test.join(nearness)
    labels = test["label"].to_numpy() == 1
    comparison = Comparison(labels, outputs, EVALUATE)
    baselines = [name for name in models if name != "candidate"]
    write_json(
        root / METRICS,
        {
            "candidate": {"model": models["candidate"].info.name}
            | comparison.table("candidate")
            | {
                "conformal": coverage_report(
                    models["candidate"].content.conformal,
                    outputs["candidate"].probabilities,
                    labels,
                    EVALUATE.confidence,
                )
            },
            "baselines": {name: comparison.table(name) for name in baselines},
            "differences": {
                name: {
                    metric: comparison.difference("candidate", name, metric) for metric in RANKING
                }
                for name in baselines
            },
            "test": counts(labels)
            | {"drugs": test["drug_key"].nunique(), "targets": test["target_key"].nunique()},
        },
    )
    for name, output in outputs.items():
        test[f"{name}_score"] = output.scores
    write_json(root / EVALUATION / "strata.json", stratify(test, outputs, EVALUATE))
    test.to_parquet(root / EVALUATION / "predictions.parquet", index=False)
    content = models["candidate"].content
    training = {"model": content.config.name, "epochs": 0, "best_epoch": None}
    write_json(root / TRAINING_METRICS, training | content.validation_metrics)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which `good` is the candidate; `models/trained/` holds all of MODELS."""
    root = tmp_path_factory.mktemp("pipeline")
    prepare_data(root)
    write_features(root)
    for name in MODELS:
        fit(root, name, root / "models/trained" / name)
    for name in ("base_rate", "nearest_neighbour"):
        shutil.copytree(root / "models/trained" / name, root / BASELINES / name)
    write_json(
        root / VALIDATION_METRICS, {"quality_score": 98.5, "checks_passed": 20, "checks_total": 20}
    )
    propose(root, "good")
    return root


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry without models, made once: its tables take a second or more."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    configure(tracking_at(path))
    return path


def propose(root: Path, name: str) -> None:
    """Make a trained model the candidate, and evaluate it."""
    shutil.rmtree(root / CANDIDATE, ignore_errors=True)
    shutil.copytree(root / "models/trained" / name, root / CANDIDATE)
    evaluate(root)


def tracking_at(path: Path) -> TrackingConfig:
    return TrackingConfig(
        uri=f"sqlite:///{path}",
        experiment_prefix="test",
        registered_model="DrugBAN",
        system_metrics=False,
    )


class Repository:
    """A copy of the pipeline with a registry of its own."""

    def __init__(self, root: Path, empty_store: Path) -> None:
        self.root = root
        self._empty_store = empty_store
        self.new_registry()

    def new_registry(self) -> None:
        shutil.copyfile(self._empty_store, self.root / "mlflow.db")

    @property
    def tracking(self) -> TrackingConfig:
        return tracking_at(self.root / "mlflow.db")

    @property
    def store(self) -> Store:
        return configure(self.tracking)

    def promote(
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

    def production(self) -> int | None:
        return aliased_version(self.store, "DrugBAN", "production")

    def versions(self) -> int:
        return len(self.store.client.search_model_versions("name = 'DrugBAN'"))

    def production_runs(self) -> int:
        experiment = self.store.experiment_id("production")
        return len(self.store.client.search_runs([experiment]))

    def written(self) -> dict[str, bytes]:
        """Bytes of the stage's outputs."""
        files = files_below(self.root / PROMOTED)
        return files | {"decision": (self.root / DECISION).read_bytes()}


@pytest.fixture
def repository(
    pipeline: Path, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Repository(Path(shutil.copytree(pipeline, tmp_path / "repository")), empty_store)


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def check(decision: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [item for item in decision["checks"] if item["name"] == name]
    return dict(found)


NOT_WORSE = "not worse than the promoted model"


def test_first_promotion_exports_registers_and_explains(repository: Repository) -> None:
    decision = repository.promote()
    root = repository.root
    assert decision["verdict"] == "promoted"
    assert check(decision, NOT_WORSE)["reason"] == "no model was promoted before"
    exported = files_below(root / PROMOTED)
    candidate = files_below(root / CANDIDATE)
    assert {name: exported[name] for name in candidate} == candidate
    assert set(exported) - set(candidate) == set(WRITTEN_HERE)
    assert exported["metrics.json"] == (root / METRICS).read_bytes()
    assert read(root / PROMOTED / VERSION) == {
        "registered_model": "DrugBAN",
        "version": 1,
        "model": "logistic_regression",
        "model_sha256": folder_sha256(root / CANDIDATE),
        "previous": None,
    }
    assert repository.production() == 1
    assert decision["strongest_baseline"]["words"] in exported[CARD].decode()
    for text in (json.dumps(decision), exported[CARD].decode(), exported[VERSION].decode()):
        assert str(root) not in text


def test_golden_predictions_are_those_of_the_export_to_the_last_bit(repository: Repository) -> None:
    repository.promote()
    golden = read(repository.root / PROMOTED / "golden.json")["pairs"]
    assert len(golden) == PROMOTE.golden_pairs
    pairs = [Pair(smiles=row["smiles"], sequence=row["sequence"]) for row in golden]
    answers = Predictor.load(repository.root / PROMOTED).predict(pairs)
    assert [(row["score"], row["probability"]) for row in golden] == [
        (answer.score, answer.probability) for answer in answers
    ]
    scores = [row["score"] for row in golden]
    predictions = pd.read_parquet(repository.root / EVALUATION / "predictions.parquet")
    assert scores == sorted(scores)
    assert scores[0] == predictions["candidate_score"].min()
    assert scores[-1] == predictions["candidate_score"].max()


def test_registered_model_loads_by_its_alias_without_pickle(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.promote()
    fetched = fetch(repository.store, "models:/DrugBAN@production", tmp_path)
    files = files_below(fetched)
    del files["MLmodel"]
    assert files == files_below(repository.root / PROMOTED)

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", repository.tracking.uri)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(repository.tracking.uri)
    mlflow.set_registry_uri(repository.tracking.uri)
    try:
        model = mlflow.pyfunc.load_model("models:/DrugBAN@production")
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
    golden = read(repository.root / PROMOTED / "golden.json")["pairs"]
    table = pd.DataFrame(
        {
            "smiles": [*(row["smiles"] for row in golden), "C1CC"],
            "sequence": [*(row["sequence"] for row in golden), golden[0]["sequence"]],
        },
        index=range(10, 11 + len(golden)),
    )
    answers = model.predict(table)
    assert list(answers.index) == list(table.index)
    assert list(answers["score"][:-1]) == [row["score"] for row in golden]
    assert list(answers["status"]) == ["ok"] * len(golden) + ["invalid"]
    with pytest.raises(DataError, match="needs smiles"):
        PredictorModel(Predictor.load(fetched)).predict(table[["sequence"]])


def test_running_again_changes_nothing(repository: Repository) -> None:
    repository.promote()
    before, runs = repository.written(), repository.production_runs()
    repository.promote()
    assert repository.written() == before
    assert repository.versions() == 1
    assert repository.production_runs() == runs


def test_registry_gives_back_what_is_exported_after_a_change_of_the_stage(
    repository: Repository, tmp_path: Path
) -> None:
    repository.promote()
    repository.promote(PROMOTE.model_copy(update={"golden_pairs": 2}))
    assert repository.versions() == 1
    assert len(read(repository.root / PROMOTED / "golden.json")["pairs"]) == 2
    files = files_below(fetch(repository.store, "models:/DrugBAN@production", tmp_path))
    del files["MLmodel"]
    assert files == files_below(repository.root / PROMOTED)


def test_two_clean_repositories_write_the_same_bytes(
    repository: Repository, pipeline: Path, empty_store: Path, tmp_path: Path
) -> None:
    repository.promote()
    other = Repository(Path(shutil.copytree(pipeline, tmp_path / "clone")), empty_store)
    other.promote()
    assert other.written() == repository.written()


def test_second_model_is_compared_with_the_first_by_recorded_metrics(
    repository: Repository,
) -> None:
    repository.promote()
    first = read(repository.root / METRICS)["candidate"]["auroc"]["value"]
    first_sha256 = folder_sha256(repository.root / CANDIDATE)
    propose(repository.root, "other")
    second = read(repository.root / METRICS)["candidate"]["auroc"]["value"]
    tolerant = PROMOTE.model_copy(update={"max_loss_to_previous": 0.5})
    decision = repository.promote(tolerant)

    assert decision["previous"]["basis"] == "recorded"
    assert decision["previous"]["model_sha256"] == first_sha256
    assert check(decision, NOT_WORSE)["observed"] == pytest.approx(second - first, abs=1e-6)
    assert repository.production() == 2
    assert read(repository.root / PROMOTED / VERSION)["previous"]["version"] == 1
    tags = repository.store.client.get_model_version("DrugBAN", "2").tags
    assert tags["previous_version"] == "1"
    assert tags["decision"] == decision["summary"]

    before = repository.written()
    repository.promote(tolerant)
    assert repository.written() == before


def test_loss_to_the_promoted_model_refuses(repository: Repository) -> None:
    repository.promote()
    recorded = read(repository.root / PROMOTED / "metrics.json")
    recorded["candidate"]["auroc"]["value"] = 0.999
    write_json(repository.root / PROMOTED / "metrics.json", recorded)
    propose(repository.root, "other")
    decision = repository.promote()
    assert decision["verdict"] == "refused"
    assert check(decision, NOT_WORSE)["passed"] is False


def test_refusal_leaves_the_promoted_model_as_it_is(repository: Repository) -> None:
    repository.promote()
    before = files_below(repository.root / PROMOTED)
    propose(repository.root, "base_rate")
    decision = repository.promote()
    assert decision["verdict"] == "refused"
    assert check(decision, "beats base_rate")["passed"] is False
    assert files_below(repository.root / PROMOTED) == before
    assert repository.production() == 1
    assert repository.versions() == 1


def test_refusal_of_the_first_candidate_leaves_an_explanation_and_no_model(
    repository: Repository,
) -> None:
    propose(repository.root, "base_rate")
    decision = repository.promote()
    exported = files_below(repository.root / PROMOTED)
    assert list(exported) == [NO_MODEL]
    assert decision["summary"] in exported[NO_MODEL].decode()
    assert repository.production() is None
    with pytest.raises(ModelError, match="holds no model"):
        Predictor.load(repository.root / PROMOTED)

    propose(repository.root, "good")
    assert repository.promote()["verdict"] == "promoted"
    assert NO_MODEL not in files_below(repository.root / PROMOTED)


def test_on_a_new_split_the_previous_model_is_scored_without_its_train_pairs(
    repository: Repository,
) -> None:
    root = repository.root
    repository.promote()
    old_train = pd.read_parquet(root / SPLITS).query("split == 'train'")
    shutil.copytree(root / PROMOTED, root / "old")
    divide(root, seed=1)
    for name in ("base_rate", "nearest_neighbour"):
        fit(root, name, root / BASELINES / name)
    fit(root, "good", root / CANDIDATE)
    evaluate(root)
    tolerant = PROMOTE.model_copy(update={"max_loss_to_previous": 0.5})
    decision = repository.promote(tolerant)

    test = read_test_pairs(Paths(inputs=root, outputs=root))
    seen = pd.MultiIndex.from_frame(test[["drug_key", "target_key"]]).isin(
        pd.MultiIndex.from_frame(old_train[["drug_key", "target_key"]])
    )
    rest = test[~seen]
    answers = Predictor.load(root / "old").predict(
        [Pair(*row) for row in rest[["smiles", "sequence"]].itertuples(index=False)]
    )
    previous = decision["previous"]
    assert previous["basis"] == "rescored"
    assert (previous["pairs"], previous["left_out"]) == (len(rest), int(seen.sum()))
    assert 0 < previous["left_out"] < len(test)
    assert f"{int(seen.sum())} were left out because it was trained on them" in previous["reason"]
    expected = roc_auc_score(rest["label"], [answer.score for answer in answers])
    assert previous["previous"]["auroc"] == pytest.approx(expected, abs=1e-6)
    predictions = pd.read_parquet(root / EVALUATION / "predictions.parquet")
    expected = roc_auc_score(rest["label"], predictions["candidate_score"].to_numpy()[~seen])
    assert previous["candidate"]["auroc"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("field", "words"),
    [("feature_version", "feature version 0"), ("format_version", "written in format 0")],
)
def test_previous_model_of_another_version_and_data_is_not_compared(
    field: str, words: str, repository: Repository
) -> None:
    repository.promote()
    path = repository.root / PROMOTED / "model.json"
    facts = read(path)
    facts[field] = 0
    facts["data_sha256"] = {}
    write_json(path, facts)
    decision = repository.promote()
    assert decision["verdict"] == "promoted"
    assert decision["previous"]["basis"] == "none"
    assert words in check(decision, NOT_WORSE)["reason"]
    assert check(decision, NOT_WORSE)["passed"] is None


def test_lost_registry_is_filled_from_the_promoted_folder(repository: Repository) -> None:
    repository.promote()
    before = repository.written()
    repository.new_registry()
    repository.promote()
    assert repository.written() == before
    assert repository.production() == 1

    repository.new_registry()
    propose(repository.root, "other")
    repository.promote(PROMOTE.model_copy(update={"max_loss_to_previous": 0.5}))
    assert repository.production() == 2
    assert repository.versions() == 2
    tags = repository.store.client.get_model_version("DrugBAN", "2").tags
    assert tags["previous_version"] == "1"


def test_lost_folder_is_taken_from_the_registry(repository: Repository) -> None:
    repository.promote()
    exported = files_below(repository.root / PROMOTED)
    shutil.rmtree(repository.root / PROMOTED)
    propose(repository.root, "base_rate")
    decision = repository.promote()
    assert decision["verdict"] == "refused"
    assert decision["previous"]["basis"] == "recorded"
    assert files_below(repository.root / PROMOTED) == exported


def test_prod_records_and_promotes_nothing(repository: Repository) -> None:
    prod = EnvironmentConfig(name="prod", alias="production", promotion="refuse")
    decision = repository.promote(environment=prod)
    assert decision["gate_passed"]
    assert decision["verdict"] == "refused"
    assert list(files_below(repository.root / PROMOTED)) == [NO_MODEL]
    assert repository.versions() == 0


def test_staging_has_its_own_alias(repository: Repository) -> None:
    staging = EnvironmentConfig(name="staging", alias="staging", promotion="automatic")
    repository.promote(environment=staging)
    assert aliased_version(repository.store, "DrugBAN", "staging") == 1
    assert repository.production() is None


def test_run_that_is_not_the_repositorys_own_is_the_challenger(
    repository: Repository, tmp_path: Path
) -> None:
    repository.promote()
    before = repository.written()
    propose(repository.root, "other")
    tolerant = PROMOTE.model_copy(update={"max_loss_to_previous": 0.5})
    decision = repository.promote(tolerant, outputs=tmp_path / "hydra")
    assert decision["verdict"] == "promoted"
    assert repository.written() == before
    assert repository.production() == 1
    assert aliased_version(repository.store, "DrugBAN", "challenger") == 2
    assert read(tmp_path / "hydra" / PROMOTED / VERSION)["version"] == 2


def test_queued_experiment_is_the_challenger(
    pipeline: Path, empty_store: Path, tmp_path: Path
) -> None:
    root = tmp_path / ".dvc/tmp/exps/standalone/tmp1"
    copy = Repository(Path(shutil.copytree(pipeline, root)), empty_store)
    copy.promote()
    assert copy.production() is None
    assert aliased_version(copy.store, "DrugBAN", "challenger") == 1


def test_killed_before_the_alias_moved_it_is_finished_by_the_next_run(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry, "promote", killed)
        with pytest.raises(KeyboardInterrupt):
            repository.promote()
    assert repository.production() is None
    decision = repository.promote()
    assert decision["previous"] is None
    assert repository.production() == 1
    assert repository.versions() == 1


def other_scores(root: Path) -> None:
    path = root / EVALUATION / "predictions.parquet"
    table = pd.read_parquet(path)
    table["candidate_score"] = np.clip(table["candidate_score"] + 0.01, 0, 1)
    table.to_parquet(path, index=False)


def missing_prediction(root: Path) -> None:
    path = root / EVALUATION / "predictions.parquet"
    pd.read_parquet(path).iloc[1:].to_parquet(path, index=False)


def incomplete_candidate(root: Path) -> None:
    (root / CANDIDATE / "calibration.json").unlink()


def no_leakage_report(root: Path) -> None:
    (root / LEAKAGE).unlink()


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (other_scores, ModelError, "they are not the same model: run `dvc repro evaluate`"),
        (missing_prediction, DataError, "1 of .* test pairs have no prediction"),
        (incomplete_candidate, ModelError, "calibration.json"),
        (no_leakage_report, DataError, "leakage.json does not exist"),
    ],
)
def test_damaged_input_is_an_error_and_promotes_nothing(
    damage: Callable[[Path], None], error: type[Exception], message: str, repository: Repository
) -> None:
    repository.promote()
    before = repository.written()
    propose(repository.root, "other")
    damage(repository.root)
    with pytest.raises(error, match=message):
        repository.promote(PROMOTE.model_copy(update={"max_loss_to_previous": 0.5}))
    assert repository.written() == before
    assert repository.versions() == 1
    assert sorted(path.name for path in (repository.root / "models").iterdir()) == [
        "baselines",
        "candidate",
        "promoted",
        "trained",
    ]


def test_card_holds_the_counts_of_the_reports(repository: Repository) -> None:
    repository.promote()
    card = (repository.root / PROMOTED / CARD).read_text()
    prepared = read(repository.root / PREPARE_METRICS)
    assert f"{prepared['pairs']:,} pairs of {prepared['drugs']:,} drugs" in card
    assert "| kiba_sample | MIT |" in card
    interactions = pd.read_parquet(repository.root / INTERACTIONS)
    assert f"{int(interactions['label'].sum()):,} of them interacting" in card
