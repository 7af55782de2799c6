"""Whole artefacts from the few numbers that a test is about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stages.dti.artifacts.evaluation import Strata
from stages.dti.artifacts.leakage import Leakage
from stages.dti.artifacts.measured import CountedShare
from stages.dti.artifacts.metrics import Coverage, Metrics
from stages.dti.artifacts.prepare import PrepareMetrics
from stages.dti.artifacts.training import Training, Validated
from stages.dti.artifacts.validation import ValidationMetrics
from stages.dti.evaluation.metrics import METRICS

Bounds = tuple[float | None, float | None, float | None]

SHARE = CountedShare(n=100, value=0.9, low=0.8, high=0.95)
COVERAGE = Coverage(
    target=0.9,
    coverage=SHARE,
    coverage_interacts=SHARE,
    coverage_no_interaction=SHARE,
    mean_size=1.2,
    empty_fraction=0.0,
    both_fraction=0.2,
    verdict="as promised",
)
VALIDATED = Validated(val_pairs=77, val_auroc=0.81, val_auprc=0.7)


def measure(value: float | None, low: float | None = None, high: float | None = None) -> Any:
    """Return a measure as JSON."""
    return {"value": value, "low": low, "high": high}


def table(entry: Any, n: int = 500, prevalence: float = 0.3, **changes: Any) -> dict[str, Any]:
    """Return one model's metrics as JSON, each of them ``entry``."""
    return {
        "n": n,
        "prevalence": prevalence,
        "threshold": 0.5,
        "conformal": COVERAGE,
        **dict.fromkeys(METRICS, entry),
    } | changes


def metrics(
    candidate: dict[str, Any],
    baselines: dict[str, dict[str, Any]],
    differences: dict[str, Any],
    same_as_candidate: Iterable[str] = (),
    **test: Any,
) -> Metrics:
    """Return metrics; ``differences``: baseline → the difference of either metric, as JSON."""
    counts = {"n": 500, "prevalence": 0.3, "drugs": 100, "targets": 20} | test
    return Metrics.model_validate(
        {
            "candidate": {"model": "drugban"} | candidate,
            "baselines": baselines,
            "differences": {
                name: dict.fromkeys(("auroc", "auprc"), {"verdict": None} | entry)
                for name, entry in differences.items()
            },
            "same_as_candidate": list(same_as_candidate),
            "test": counts,
        }
    )


def leakage(**changes: Any) -> Leakage:
    """Return the report of a random split."""
    part = {
        "pairs": 80,
        "drugs": 40,
        "targets": 12,
        "positives": 20,
        "prevalence": 0.25,
        "fraction_of_all": 0.3,
    }
    shared = {"pairs": 0, "drugs": 33, "targets": 11}
    quantiles = dict.fromkeys(("min", "q05", "q25", "median", "q75", "q95", "max"), 0.61)
    near = {
        "measure": "some measure",
        "quantiles": quantiles,
        "histogram": {"edges": [0.0, 1.0], "pairs": [80]},
    }
    return Leakage.model_validate(
        {
            "kind": "random",
            "seed": 5,
            "parts": {"test": part, "train": part, "unused": part | {"pairs": 0}, "val": part},
            "overlap": {"test_train": shared},
            "test_pairs": {
                "drug_seen_fraction": 0.9,
                "target_seen_fraction": 1.0,
                "both_seen_fraction": 0.9,
                "neither_seen_fraction": 0.0,
            },
            "nearest_train_similarity": {
                "drug": near | {"unseen_but_identical_pairs": 0},
                "target": near,
                "joint": {"drug_edges": [0.0, 1.0], "target_edges": [0.0, 1.0], "pairs": [[80]]},
            },
            "validation_carved_from_train": False,
            "claims": [],
        }
        | changes
    )


def prepared(**changes: Any) -> PrepareMetrics:
    """Return the counts of a small data set."""
    return PrepareMetrics.model_validate(
        {
            "rows_read": 1200,
            "rows_merged": 100,
            "rows_rejected": 100,
            "rejected_by_reason": {"invalid_smiles": 60, "conflicting_labels": 40},
            "pairs": 1000,
            "drugs": 500,
            "targets": 12,
            "positives": 250,
            "prevalence": 0.25,
            "drug_ids_of_several": 0,
            "target_ids_of_several": 0,
            "label_conflicts": 0,
            "published_split_conflicts": 0,
        }
        | changes
    )


def validated(**changes: Any) -> ValidationMetrics:
    """Return the numbers of a data set that passed."""
    return ValidationMetrics.model_validate(
        {
            "quality_score": 99.5,
            "coverage_fraction": 1.0,
            "checks_total": 20,
            "checks_passed": 19,
            "checks_failed": 1,
            "rows": 1200,
            "rows_usable": 1200,
            "drugs": 500,
            "targets": 12,
            "positive_fraction": 0.25,
            "observed": {},
        }
        | changes
    )


def trained(**changes: Any) -> Training:
    """Return what `train` says; unless told otherwise of a model that is not iterated."""
    steps = {} if "members" in changes else {"epochs": 0, "best_epoch": None}
    given = {"model": "logistic_regression"} | steps | VALIDATED.given()
    return Training.model_validate(given | changes)


def stratum(name: str, n: int, value: float | None, **kind: Any) -> dict[str, Any]:
    """Return a stratum as JSON; without a value it is only counted."""
    models = {"candidate": dict.fromkeys(("auroc", "auprc"), measure(value))}
    reason = {} if value is not None else {"reason": "no test pair belongs here"}
    counted = {"name": name, "n": n, "prevalence": 0.25 if n else None, "models": models}
    return counted | reason | kind


def strata() -> Strata:
    """Return strata of which one is good, one bad and one empty."""
    return Strata.model_validate(
        {
            "minimum": {"pairs": 10, "per_class": 5},
            "seen": [
                stratum("drug seen, target seen", 90, 0.85, drug_seen=True, target_seen=True),
                stratum("drug unseen, target seen", 10, 0.6, drug_seen=False, target_seen=True),
                stratum("drug unseen, target unseen", 0, None, drug_seen=False, target_seen=False),
            ],
            "drug_similarity": [stratum("0 to below 0.3", 10, 0.65, low=0.0, high=0.3)],
        }
    )
