"""What the stages before `report` leave behind, made without running them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from stages.dti.artifacts.featurize import FeaturizeMetrics
from stages.dti.artifacts.metrics import (
    CandidateMetrics,
    Differences,
    Metrics,
    ModelMetrics,
    PairCounts,
)
from stages.dti.artifacts.training import Training
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.config.report import ReportConfig
from stages.dti.config.screen import ScreenConfig
from stages.dti.config.validate import ValidateConfig
from stages.dti.data.splitting.leakage import leakage_report
from stages.dti.data.splitting.splits import make_split
from stages.dti.data.validation.check_tables import make_tables
from stages.dti.data.validation.checks import all_checks
from stages.dti.data.validation.expectations import CheckResult
from stages.dti.data.validation.quality import document, judge
from stages.dti.evaluation.applicability import applicability_report
from stages.dti.evaluation.curves import (
    confusion,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
)
from stages.dti.evaluation.metrics import RANKING, Comparison, ModelOutput, prevalence
from stages.dti.evaluation.robustness import Answers, robustness_report
from stages.dti.evaluation.strata import stratify
from stages.dti.files import write_json, write_text
from stages.dti.lifecycle.gates import decide
from stages.dti.paths import (
    DECISION,
    EVALUATION,
    EVALUATION_PLOTS,
    FEATURIZE_METRICS,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PROMOTED,
    REPORT,
    ROOT,
    SCREENING,
    SCREENING_METRICS,
    TRAINING_CURVES,
    TRAINING_METRICS,
    VALIDATION,
    Paths,
)
from stages.dti.screening.results import Screening
from stages.dti.training.curves import LearningCurves
from stages.dti.uncertainty.applicability_domain import ApplicabilityDomain
from stages.dti.uncertainty.conformal import ConformalSets, coverage_report
from stages.report import run
from tests.support import split_tables
from tests.support.artifacts import prepared
from tests.support.prepared_tables import STANDARDISE
from tests.support.prepared_tables import section as made_section

EVALUATE = EvaluateConfig(
    bootstrap_samples=100,
    confidence=0.95,
    seed=0,
    calibration_bins=10,
    similarity_edges=[0.0, 0.5, 0.9, 1.0],
    robustness_pairs=40,
    pretrained={},
)
PROMOTE = PromoteConfig(
    metric="auroc",
    floor=0.7,
    must_beat=["base_rate"],
    must_beat_margin=0.0,
    max_loss_to_previous=0.01,
    golden_pairs=5,
)
ENVIRONMENT = EnvironmentConfig(name="dev", alias="production", promotion="automatic")
SPLIT = split_tables.config("random")
REPORTED = ReportConfig(
    title="Drug-target interaction pipeline", screening_targets=3, screening_drugs=2
)


def section(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / f"conf/{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def interactions_of(generator: np.random.Generator, drugs: int, targets: int) -> pd.DataFrame:
    """Every drug against every target, labelled at random."""
    pairs = [(f"D{d}", f"T{t}") for d in range(drugs) for t in range(targets)]
    table = pd.DataFrame(pairs, columns=["drug_key", "target_key"])
    table["label"] = (generator.random(len(table)) < 0.3).astype(np.int8)
    table["published_split"] = None
    return table


def write_data_results(root: Path, generator: np.random.Generator) -> pd.DataFrame:
    """Write the results of `validate`, `prepare`, `split`, `featurize`; return the test pairs."""
    dataset = DatasetConfig.model_validate(section("dataset/sample"))
    config = ValidateConfig.model_validate(section("validate/default"))
    interactions = interactions_of(generator, 40, 30)
    drugs = pd.DataFrame(
        {
            "drug_key": [f"D{d}" for d in range(40)],
            "smiles": ["C" * (1 + d % 8) + "c1ccccc1" + "O" * (d // 8) for d in range(40)],
        }
    )
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    targets = pd.DataFrame(
        {
            "target_key": [f"T{t}" for t in range(30)],
            "sequence": ["".join(generator.choice(letters, 60)) for _ in range(30)],
        }
    )
    records = (
        interactions.merge(drugs)
        .merge(targets)
        .assign(
            source=next(iter(dataset.sources)),
            file="interactions.csv",
            source_row=range(1, len(interactions) + 1),
            affinity=lambda table: 11.0 + 2 * table["label"],
            relation="=",
            affinity_text=None,
            label_text=None,
            refusal=None,
        )
        .rename(columns={"drug_key": "drug_id", "target_key": "target_id"})
        .assign(label=np.nan)
    )
    rows = len(records)
    found = [
        CheckResult(check, True, 0.999, rows, 1, ({"source": "s", "found": "no SMILES"},))
        if check.kind == "share"
        else CheckResult(check, True, 0.3 if check.kind == "mean" else rows)
        for check in all_checks(config, STANDARDISE)
    ]
    quality = judge(make_tables(records, dataset, STANDARDISE), found, config)
    document(quality, dataset.name).write(root / VALIDATION / "validation.json")
    prepared(
        rows_read=rows + 30,
        rows_rejected=20,
        rows_merged=10,
        pairs=rows,
        drugs=40,
        targets=30,
        positives=int(interactions["label"].sum()),
        prevalence=float(interactions["label"].mean()),
        rejected_by_reason={"invalid_smiles": 15, "undecided_affinity": 5},
    ).write(root / PREPARE_METRICS)
    splits = interactions[["drug_key", "target_key"]].copy()
    splits[["split", "fold"]] = make_split(interactions, drugs, targets, SPLIT)
    leakage_report(splits, interactions, drugs, targets, SPLIT).write(root / LEAKAGE)
    FeaturizeMetrics(
        drugs=40,
        drugs_rejected=0,
        drugs_in_train=39,
        atoms=12345,
        bonds=600,
        targets=30,
        targets_rejected=0,
        targets_in_train=30,
        targets_cut=3,
        residues=1800,
    ).write(root / FEATURIZE_METRICS)
    test = interactions[splits["split"] == "test"].reset_index(drop=True)
    return (
        test.merge(drugs)
        .merge(targets)
        .assign(
            drug_seen=generator.random(len(test)) < 0.8,
            target_seen=True,
            scaffold_seen=generator.random(len(test)) < 0.9,
            drug_similarity=generator.random(len(test)),
            domain_distance=generator.random(len(test)) * 1.5,
        )
    )


def unmoved(smiles: Sequence[str], sequences: Sequence[str]) -> Answers:
    """A model that refuses salts and says the same of everything else."""
    reasons = ["a salt" if "." in text else None for text in smiles]
    return Answers(reasons, np.zeros(len(smiles)), np.full(len(smiles), 0.5))


def write_model_results(
    root: Path, test: pd.DataFrame, generator: np.random.Generator, skill: float
) -> Metrics:
    """Write the results of `train`, `evaluate` and `promote`; return the metrics."""
    labels = test["label"].to_numpy()

    def output(skill: float) -> ModelOutput:
        scores = skill * labels + generator.normal(size=len(labels))
        return ModelOutput(scores, 1 / (1 + np.exp(-scores)), 0.6)

    constant = ModelOutput(np.zeros(len(labels)), np.full(len(labels), 0.3), 0.5)
    outputs = {
        "candidate": output(skill),
        "base_rate": constant,
        "gradient_boosting": output(1.6),
    }
    comparison = Comparison(labels, outputs, EVALUATE)
    sets = ConformalSets(0.9, positives=40, negatives=100, active_from=0.4, inactive_to=0.7)

    def table(name: str) -> ModelMetrics:
        covered = coverage_report(
            sets, outputs[name].probabilities, labels.astype(bool), EVALUATE.confidence
        )
        return comparison.table(name, covered)

    baselines = [name for name in outputs if name != "candidate"]
    metrics = Metrics(
        candidate=CandidateMetrics(model="drugban", **table("candidate").given()),
        baselines={name: table(name) for name in baselines},
        same_as_candidate=[],
        differences={
            name: Differences(
                **{metric: comparison.difference("candidate", name, metric) for metric in RANKING}
            )
            for name in baselines
        },
        test=PairCounts(
            n=len(labels),
            prevalence=prevalence(labels.astype(bool)),
            drugs=test["drug_key"].nunique(),
            targets=test["target_key"].nunique(),
        ),
    )
    metrics.write(root / METRICS)
    candidate = outputs["candidate"]
    stratify(test, outputs, EVALUATE).write(root / EVALUATION / "strata.json")
    applicability_report(test, candidate, ApplicabilityDomain(0.4, 0.35), EVALUATE).write(
        root / EVALUATION / "applicability.json"
    )
    robustness_report(test, candidate, unmoved, STANDARDISE, EVALUATE).write(
        root / EVALUATION / "robustness.json"
    )
    (root / EVALUATION_PLOTS).mkdir(parents=True, exist_ok=True)
    for name, curve in {
        "roc": roc_curve(labels == 1, outputs),
        "precision_recall": precision_recall_curve(labels == 1, outputs),
        "reliability": reliability_curve(labels == 1, outputs, EVALUATE),
        "confusion": confusion(labels == 1, outputs["candidate"]),
    }.items():
        curve.to_csv(root / EVALUATION_PLOTS / f"{name}.csv", index=False)
    (root / SCREENING).mkdir(parents=True, exist_ok=True)
    Screening.of_nothing().ranking.to_parquet(root / SCREENING / "ranking.parquet", index=False)
    Screening.of_nothing().metrics.write(root / SCREENING_METRICS)
    decision = decide(metrics, "0" * 64, None, PROMOTE, ENVIRONMENT)
    decision.write(root / DECISION)

    curves = LearningCurves("drugban", monitor="auroc")
    for epoch in range(6):
        loss = {"train_loss": 0.7 - 0.05 * epoch, "val_loss": 0.7 - 0.03 * epoch}
        curves.own.add({"epoch": epoch, "val_auroc": 0.6 + 0.04 * epoch, **loss})
    write_training(root, "drugban", curves)
    return metrics


def write_training(root: Path, model: str, curves: LearningCurves) -> None:
    """Write what `train` says of a model's fits."""
    summary = Training(model=model, **curves.summary(), val_pairs=120, val_auroc=0.8, val_auprc=0.6)
    summary.write(root / TRAINING_METRICS)
    shutil.rmtree(root / TRAINING_CURVES, ignore_errors=True)
    curves.save(root / TRAINING_CURVES)


def write_results(root: Path, skill: float = 1.8) -> Paths:
    """Write everything that the report reads; ``skill`` is the candidate's."""
    generator = np.random.default_rng(0)
    test = write_data_results(root, generator)
    write_model_results(root, test, generator, skill)
    card = "# Model card: drugban\n\n| a | b |\n| --- | --- |\n| 1 | <script>alert(1)</script> |\n"
    write_text(root / PROMOTED / "MODEL_CARD.md", card)
    return Paths(inputs=root, outputs=root)


def report(root: Path) -> str:
    """Run the stage and return its page."""
    run(
        Paths(inputs=root, outputs=root),
        report=REPORTED,
        evaluate=EVALUATE,
        screen=made_section(ScreenConfig, "screen"),
    )
    return (root / REPORT).read_text(encoding="utf-8")


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit a JSON file."""
    values = json.loads(path.read_text(encoding="utf-8"))
    edit(values)
    write_json(path, values)
