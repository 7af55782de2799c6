"""Stage ``evaluate``: the candidate and every baseline on the test pairs, which only it reads.

In:
    ``data/processed/splits.parquet``, ``data/interim/{interactions,drugs,targets}.parquet``,
    ``models/candidate/``, ``models/baselines/<name>/`` (each with its calibration and threshold,
    chosen on validation); the models of ``evaluate.pretrained``, which its hashes declare.
Out:
    ``reports/metrics.json``: ``candidate`` and ``baselines.<name>`` hold ``n``, ``prevalence``,
    ``threshold``, each metric as ``{"value", "low", "high"}``, and ``conformal``, the coverage of
    the prediction sets; ``differences.<name>`` holds candidate minus baseline for AUROC and AUPRC
    on the same resamples, with a ``verdict``; ``same_as_candidate`` names the baselines that are
    the candidate itself (equal configuration or equal scores) and so have no difference to it;
    ``test`` counts pairs, drugs and targets. A pretrained model stands among the baselines,
    measured on the test pairs that it was not trained on; its ``pretrained`` says how many it was.
    ``reports/evaluation/predictions.parquet``: one row per test pair: ``drug_key``,
    ``target_key`` (str), ``label`` (int8), ``drug_seen``, ``target_seen``, ``scaffold_seen``
    (bool, in train), ``drug_similarity`` (Tanimoto), ``target_similarity`` (float32, to the
    nearest in train), ``domain_distance`` (float64, of the candidate), and ``<model>_score``,
    ``<model>_probability`` (float64, 0 to 1) for ``candidate`` and baselines, with
    ``<model>_spread`` for ensembles; for a pretrained model NaN where it was left out.
    ``reports/evaluation/strata.json``: AUROC and AUPRC by what was met in train.
    ``reports/evaluation/applicability.json``: how well the candidate's domain, and an ensemble's
    spread, tell its errors and what it never met.
    ``reports/evaluation/robustness.json``: what changed inputs do to the candidate's answers.
    ``reports/plots/evaluation/{roc,precision_recall,reliability,confusion}.csv`` for
    ``dvc plots``.
Sections:
    ``evaluate``; ``tracking`` as a side channel.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.evaluation.applicability import applicability_report
from stages.dti.evaluation.curves import (
    confusion,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
)
from stages.dti.evaluation.metrics import RANKING, Comparison, ModelOutput, counts
from stages.dti.evaluation.pretrained import load_pretrained
from stages.dti.evaluation.robustness import robustness_report
from stages.dti.evaluation.scoring import (
    CANDIDATE_KEY,
    OnTheRest,
    asker,
    load_models,
    score,
    score_the_rest,
)
from stages.dti.evaluation.strata import stratify
from stages.dti.evaluation.test_set import read_test_pairs
from stages.dti.files import write_folder, write_json
from stages.dti.paths import EVALUATION, EVALUATION_PLOTS, METRICS, Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.runtime.stage import main
from stages.dti.tracking.runs import log_evaluation
from stages.dti.tracking.store import configure
from stages.dti.uncertainty.conformal import coverage_report

logger = logging.getLogger(__name__)


def run(paths: Paths, *, evaluate: EvaluateConfig, tracking: TrackingConfig) -> None:
    """Score the test pairs once with every model, measure and record."""
    configure(tracking)  # a store that doesn't answer is found out before the work, not after it
    test = read_test_pairs(paths)
    models = load_models(paths)
    pretrained = load_pretrained(evaluate.pretrained, paths.inputs, tracking)
    nearness, outputs = score(models, test)
    rest = {name: score_the_rest(name, model, test) for name, model in pretrained.items()}
    test = test.join(nearness)
    names = {key: key.replace("_", " ") for key in models}
    names[CANDIDATE_KEY] = f"{models[CANDIDATE_KEY].info.name.replace('_', ' ')} (candidate)"

    labels = test["label"].to_numpy() == 1
    comparison = Comparison(labels, outputs, evaluate)
    tables = {
        key: _table(key, comparison, model, outputs[key], labels, evaluate)
        for key, model in models.items()
    }
    baselines = {key: tables[key] for key in models if key != CANDIDATE_KEY}
    same = [key for key in baselines if _same_config(models, key) or _same_scores(outputs, key)]
    differences = {key: _differences(comparison, key) for key in baselines if key not in same}
    for name, found in rest.items():
        candidate_there = outputs[CANDIDATE_KEY].rows(found.kept)
        of_two = {CANDIDATE_KEY: candidate_there, name: found.output}
        there = labels[found.kept]
        apart = Comparison(there, of_two, evaluate)
        baselines[name] = _table(name, apart, pretrained[name], found.output, there, evaluate) | {
            "pretrained": {
                "sha256": evaluate.pretrained[name].sha256,
                "source": evaluate.pretrained[name].source,
                "test_pairs_trained_on": found.trained_on,
                "test_pairs_refused": found.refused,
            }
        }
        if _same_scores(of_two, name):
            same.append(name)
        else:
            differences[name] = _differences(apart, name)
    metrics = {
        "candidate": {"model": models[CANDIDATE_KEY].info.name} | tables[CANDIDATE_KEY],
        "baselines": baselines,
        "differences": differences,
        "same_as_candidate": same,
        "test": counts(labels)
        | {"drugs": test["drug_key"].nunique(), "targets": test["target_key"].nunique()},
    }
    curves = {
        "roc": roc_curve(labels, outputs),
        "precision_recall": precision_recall_curve(labels, outputs),
        "reliability": reliability_curve(labels, outputs, evaluate),
        "confusion": confusion(labels, outputs[CANDIDATE_KEY]),
    }
    with write_folder(paths.write(EVALUATION)) as folder:
        predictions(test, outputs, rest).to_parquet(folder / "predictions.parquet", index=False)
        write_json(folder / "strata.json", stratify(test, outputs, evaluate))
        candidate, output = models[CANDIDATE_KEY], outputs[CANDIDATE_KEY]
        content = candidate.content
        write_json(
            folder / "applicability.json",
            applicability_report(test, output, content.domain, evaluate),
        )
        write_json(
            folder / "robustness.json",
            robustness_report(test, output, asker(candidate), content.standardise, evaluate),
        )
    with write_folder(paths.write(EVALUATION_PLOTS)) as folder:
        for name, curve in curves.items():
            curve.to_csv(folder / f"{name}.csv", index=False)
    write_json(paths.write(METRICS), metrics)
    for key, table in tables.items():
        bounds = [table["auroc"][bound] for bound in ("value", "low", "high")]
        words = ["undefined" if bound is None else f"{bound:.3f}" for bound in bounds]
        logger.info("%s: AUROC %s (%s to %s)", names[key], *words)

    evaluated = {key: (model, model.info.sha256) for key, model in models.items()} | {
        name: (model, evaluate.pretrained[name].sha256) for name, model in pretrained.items()
    }
    for key, (model, sha256) in evaluated.items():
        is_candidate = key == CANDIDATE_KEY
        role = {"name": model.info.name, "role": "candidate" if is_candidate else "baseline"}
        log_evaluation(
            tracking,
            model.info.name if is_candidate else key,
            sha256,
            tables[key] if is_candidate else baselines[key],
            [paths.write(METRICS), paths.write(EVALUATION)] if is_candidate else [],
            {"model": role, "evaluate": evaluate},
            trained_elsewhere=key in pretrained,
        )


def predictions(
    test: pd.DataFrame, outputs: dict[str, ModelOutput], rest: dict[str, OnTheRest]
) -> pd.DataFrame:
    """Return the table that is written: no structures, every model's score and probability."""
    table = test.drop(columns=["smiles", "sequence"])
    everywhere = np.ones(len(test), dtype=bool)
    rows = {key: (output, everywhere) for key, output in outputs.items()}
    rows |= {name: (found.output, found.kept) for name, found in rest.items()}
    for key, (output, kept) in rows.items():
        table.loc[kept, f"{key}_score"] = output.scores
        table.loc[kept, f"{key}_probability"] = output.probabilities
        if output.spread is not None:
            table.loc[kept, f"{key}_spread"] = output.spread
    return table


def _table(
    key: str,
    comparison: Comparison,
    model: Predictor,
    output: ModelOutput,
    labels: NDArray[np.bool_],
    evaluate: EvaluateConfig,
) -> dict[str, Any]:
    sets = model.content.conformal
    covered = coverage_report(sets, output.probabilities, labels, evaluate.confidence)
    return comparison.table(key) | {"conformal": covered}


def _differences(comparison: Comparison, key: str) -> dict[str, Any]:
    return {metric: comparison.difference(CANDIDATE_KEY, key, metric) for metric in RANKING}


def _same_config(models: dict[str, Predictor], key: str) -> bool:
    """Return whether a baseline, fitted on the candidate's data, is configured as the candidate."""
    return models[key].content.config == models[CANDIDATE_KEY].content.config


def _same_scores(outputs: dict[str, ModelOutput], key: str) -> bool:
    return np.array_equal(outputs[key].scores, outputs[CANDIDATE_KEY].scores)


if __name__ == "__main__":
    main(run)
