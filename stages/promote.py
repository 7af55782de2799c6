"""Stage ``promote``: may the candidate be promoted? If so, it is exported.

In:
    ``reports/metrics.json``, ``reports/evaluation/`` (the candidate's predictions, the strata),
    ``models/candidate/``; ``data/interim/{interactions,drugs,targets}.parquet`` and
    ``data/processed/splits.parquet`` for the test pairs; for the model card also
    ``reports/{prepare_metrics,validation_metrics,leakage,training_metrics}.json``.
    ``models/production.json``: what was promoted before, by an explicit act. Where its newest
    entry was measured on other data, that model scores the test pairs anew: its files are taken
    by their hash, from ``models/promoted/`` as it was (DVC keeps it: ``persist: true``) or from
    the registry.
Out:
    ``models/promoted/``: the exported model (``stages/dti/lifecycle/export.py``). After a refusal
    the model in production, or ``NO_MODEL.md``.
    ``reports/decision.json``: verdict, every check with its reason, the strongest baseline, the
    comparison with the model promoted before (``artifacts/decision.py``).
Sections:
    ``promote``, ``environment``; for the model card ``dataset`` and ``evaluate``; ``tracking`` as
    a side channel: the registry.

Nothing is promoted here. Once the outputs are written, a candidate that passed is registered as
``challenger``; ``make promote`` promotes a committed state (``lifecycle/transitions.py``).
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import pandas as pd

from stages.dti.artifacts.decision import Decision
from stages.dti.artifacts.evaluation import Strata
from stages.dti.artifacts.export import CARD, EXPORTED, MODEL, SHORT, Export
from stages.dti.artifacts.leakage import Leakage
from stages.dti.artifacts.metrics import Metrics
from stages.dti.artifacts.model import ModelFacts
from stages.dti.artifacts.model_files import seal_export, verify_folder
from stages.dti.artifacts.prepare import PrepareMetrics
from stages.dti.artifacts.production import Promotion
from stages.dti.artifacts.training import Training
from stages.dti.artifacts.validation import ValidationMetrics
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import DataError
from stages.dti.evaluation.test_set import read_test_pairs
from stages.dti.files import write_folder, write_text
from stages.dti.lifecycle.card import Measured, model_card
from stages.dti.lifecycle.export import fill_export, keep
from stages.dti.lifecycle.gates import decide
from stages.dti.lifecycle.promotion import compare_with_previous
from stages.dti.lifecycle.record import read_history
from stages.dti.lifecycle.transitions import follow_candidate
from stages.dti.paths import (
    CANDIDATE,
    DECISION,
    EVALUATION,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PRODUCTION,
    PROMOTED,
    TRAINING_METRICS,
    VALIDATION_METRICS,
    Paths,
)
from stages.dti.prediction.predictor import Predictor
from stages.dti.runtime.stage import main
from stages.dti.tracking.registry import fetch_by_hash
from stages.dti.tracking.store import configure

logger = logging.getLogger(__name__)


def run(
    paths: Paths,
    *,
    promote: PromoteConfig,
    environment: EnvironmentConfig,
    dataset: DatasetConfig,
    evaluate: EvaluateConfig,
    tracking: TrackingConfig,
) -> None:
    """Decide and export; then let the registry follow."""
    store = configure(tracking)
    candidate = paths.read(CANDIDATE)
    sha256 = verify_folder(candidate)
    metrics = Metrics.read(paths.read(METRICS))
    test = _test_with_scores(paths)
    history = read_history(paths.read(PRODUCTION), environment.alias)

    with tempfile.TemporaryDirectory() as scratch:

        def find(model_sha256: str) -> Export | None:
            here = Export.find(paths.inputs / PROMOTED)
            if here is not None and here.model_sha256 == model_sha256:
                return here
            folder = Path(scratch) / model_sha256
            folder.mkdir(exist_ok=True)
            return fetch_by_hash(store, tracking.registered_model, model_sha256, folder)

        comparison = compare_with_previous(
            history, sha256, ModelFacts.read(candidate / MODEL), metrics, test, find
        )
        decision = decide(metrics, sha256, comparison, promote, environment)
        destination = paths.write(PROMOTED)
        if decision.verdict == "passed":
            with write_folder(destination) as folder:
                predictor = fill_export(
                    folder, candidate, metrics, test, promote.golden_pairs, decision
                )
                facts = _measured(paths, predictor, dataset, evaluate, metrics, decision)
                write_text(folder / CARD, model_card(facts))
                seal_export(folder, EXPORTED)
        else:
            in_production = find(history[-1].model_sha256) if history else None
            keep(in_production, destination, decision, _why_no_model(history))
    decision.write(paths.write(DECISION))
    logger.info("%s", decision.summary)
    if decision.verdict == "passed":
        follow_candidate(tracking, environment, destination)


def _why_no_model(history: list[Promotion]) -> str:
    if not history:
        return "No model was ever promoted here."
    newest = history[-1]
    return (
        f"The model in production, {newest.model} {newest.model_sha256[:SHORT]}, lies neither in "
        f"{PROMOTED} nor in the registry. Check out commit {newest.commit} with git and DVC, and "
        "`make promote` there: it registers the model."
    )


def _test_with_scores(paths: Paths) -> pd.DataFrame:
    """Return the test pairs (``read_test_pairs``) with ``candidate_score``."""
    test = read_test_pairs(paths)
    predictions = pd.read_parquet(paths.read(EVALUATION) / "predictions.parquet")
    keys = ["drug_key", "target_key"]
    scored = test.merge(predictions[[*keys, "candidate_score"]], on=keys, how="left")
    unscored = int(scored["candidate_score"].isna().sum())
    if unscored:
        raise DataError(
            f"{unscored} of {len(test)} test pairs have no prediction in {EVALUATION}; "
            "run `dvc repro evaluate`"
        )
    return scored


def _measured(
    paths: Paths,
    predictor: Predictor,
    dataset: DatasetConfig,
    evaluate: EvaluateConfig,
    metrics: Metrics,
    decision: Decision,
) -> Measured:
    return Measured(
        model=predictor.content,
        dataset=dataset,
        prepare=PrepareMetrics.read(paths.read(PREPARE_METRICS)),
        leakage=Leakage.read(paths.read(LEAKAGE)),
        validation=ValidationMetrics.read(paths.read(VALIDATION_METRICS)),
        training=Training.read(paths.read(TRAINING_METRICS)),
        metrics=metrics,
        strata=Strata.read(paths.read(EVALUATION) / "strata.json"),
        confidence=evaluate.confidence,
        decision=decision,
    )


if __name__ == "__main__":
    main(run)
