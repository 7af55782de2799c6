"""Stage ``evaluate``: the candidate and every baseline on the test pairs, which only it reads.

In:
    ``data/processed/splits.parquet``, ``data/interim/{interactions,drugs,targets}.parquet``,
    ``models/candidate/``, ``models/baselines/<name>/`` (each with its calibration and threshold,
    chosen on validation); the models of ``evaluate.pretrained``, which its hashes declare.
Out:
    ``reports/metrics.json`` (``artifacts/metrics.py``): the candidate's and every baseline's
    metrics, each with its interval, the coverage of the prediction sets, and candidate minus
    baseline on the same resamples. Baselines that are the candidate itself (equal configuration or
    equal scores) have no difference to it. A pretrained model stands among the baselines, measured
    on the test pairs that it was not trained on.
    ``reports/evaluation/predictions.parquet``: one row per test pair: ``drug_key``,
    ``target_key`` (str), ``label`` (int8), ``drug_seen``, ``target_seen``, ``scaffold_seen``
    (bool, in train), ``drug_similarity`` (Tanimoto), ``target_similarity`` (float32, to the
    nearest in train), ``domain_distance`` (float64, of the candidate), and ``<model>_score``,
    ``<model>_probability`` (float64, 0 to 1) for ``candidate`` and baselines, with
    ``<model>_spread`` for ensembles; for a pretrained model NaN where it was left out.
    ``reports/evaluation/{strata,applicability,robustness}.json`` (``artifacts/evaluation.py``):
    AUROC and AUPRC by what was met in train; how well the candidate's domain, and an ensemble's
    spread, tell its errors and what it never met; what changed inputs do to its answers.
    ``reports/plots/evaluation/{roc,precision_recall,reliability,confusion}.csv`` for
    ``dvc plots``.
Sections:
    ``evaluate``; ``tracking`` as a side channel.
"""

from __future__ import annotations

import logging

from stages.dti.artifacts.metrics import ModelMetrics
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.evaluation.evaluate import evaluate_model
from stages.dti.evaluation.pretrained import load_pretrained
from stages.dti.evaluation.scoring import CANDIDATE_KEY, load_models
from stages.dti.evaluation.test_set import read_test_pairs
from stages.dti.files import write_folder
from stages.dti.paths import EVALUATION, EVALUATION_PLOTS, METRICS, Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.runtime.stage import main
from stages.dti.tracking.runs import log_evaluation
from stages.dti.tracking.store import configure

logger = logging.getLogger(__name__)


def run(paths: Paths, *, evaluate: EvaluateConfig, tracking: TrackingConfig) -> None:
    """Measure every model on the test pairs, write and record."""
    configure(tracking)  # a store that doesn't answer is found out before the work, not after it
    test = read_test_pairs(paths)
    models = load_models(paths)
    pretrained = load_pretrained(evaluate.pretrained, paths.inputs, tracking)
    found = evaluate_model(test, models, evaluate, pretrained)
    with write_folder(paths.write(EVALUATION)) as folder:
        found.predictions.to_parquet(folder / "predictions.parquet", index=False)
        found.strata.write(folder / "strata.json")
        found.applicability.write(folder / "applicability.json")
        found.robustness.write(folder / "robustness.json")
    with write_folder(paths.write(EVALUATION_PLOTS)) as folder:
        for name, curve in found.curves.items():
            curve.to_csv(folder / f"{name}.csv", index=False)
    found.metrics.write(paths.write(METRICS))

    tables = {CANDIDATE_KEY: found.metrics.candidate, **found.metrics.baselines}
    evaluated = {**models, **pretrained}
    for key, table in tables.items():
        _log_auroc(key, evaluated[key], table)
    for key, model in evaluated.items():
        is_candidate = key == CANDIDATE_KEY
        role = {"name": model.info.name, "role": "candidate" if is_candidate else "baseline"}
        log_evaluation(
            tracking,
            model.info.name if is_candidate else key,
            evaluate.pretrained[key].sha256 if key in pretrained else model.info.sha256,
            tables[key].plain(),
            [paths.write(METRICS), paths.write(EVALUATION)] if is_candidate else [],
            {"model": role, "evaluate": evaluate},
            trained_elsewhere=key in pretrained,
        )


def _log_auroc(key: str, model: Predictor, table: ModelMetrics) -> None:
    name = f"{model.info.name} (candidate)" if key == CANDIDATE_KEY else key
    bounds = (table.auroc.value, table.auroc.low, table.auroc.high)
    words = ["undefined" if bound is None else f"{bound:.3f}" for bound in bounds]
    logger.info("%s: AUROC %s (%s to %s)", name.replace("_", " "), *words)


if __name__ == "__main__":
    main(run)
