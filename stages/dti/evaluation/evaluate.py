"""Models measured on test pairs: a plain function of tables and models, for whoever has both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.artifacts.evaluation import Applicability, Robustness, Strata
from stages.dti.artifacts.metrics import (
    CandidateMetrics,
    Differences,
    Metrics,
    ModelMetrics,
    PairCounts,
    Pretrained,
)
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.evaluation.applicability import applicability_report
from stages.dti.evaluation.curves import (
    confusion,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
)
from stages.dti.evaluation.metrics import Comparison, ModelOutput, prevalence
from stages.dti.evaluation.robustness import robustness_report
from stages.dti.evaluation.scoring import (
    CANDIDATE_KEY,
    OnTheRest,
    asker,
    score,
    score_the_rest,
)
from stages.dti.evaluation.strata import stratify
from stages.dti.prediction.predictor import Predictor
from stages.dti.uncertainty.conformal import coverage_report


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        predictions: one row per test pair, in their order; ``stages/evaluate.py`` names the
            columns.
        curves: ``roc``, ``precision_recall``, ``reliability``, ``confusion`` → rows, as
            ``curves.py`` makes them.
    """

    metrics: Metrics
    predictions: pd.DataFrame
    strata: Strata
    applicability: Applicability
    robustness: Robustness
    curves: dict[str, pd.DataFrame]


def evaluate_model(
    test: pd.DataFrame,
    models: Mapping[str, Predictor],
    config: EvaluateConfig,
    pretrained: Mapping[str, Predictor] | None = None,
) -> Evaluation:
    """Score the test pairs once with every model, and measure.

    Args:
        test: columns ``drug_key``, ``target_key``, ``label`` (0 or 1), ``smiles``, ``sequence``.
        models: ``candidate``, and the baselines that it is compared with by their names; fitted on
            the same pairs as the candidate.
        pretrained: models of ``config.pretrained`` by name, each measured on the test pairs that
            it was not trained on; they stand among the baselines.

    Raises:
        DataError: there are no test pairs, one of ``models`` refuses one, or nothing is left to
            test a pretrained one on.
    """
    nearness, outputs = score(models, test)
    rest = {name: score_the_rest(name, model, test) for name, model in (pretrained or {}).items()}
    test = test.join(nearness)
    labels = test["label"].to_numpy() == 1
    candidate, output = models[CANDIDATE_KEY], outputs[CANDIDATE_KEY]
    content = candidate.content
    return Evaluation(
        metrics=_metrics(test, labels, models, outputs, pretrained or {}, rest, config),
        predictions=_predictions(test, outputs, rest),
        strata=stratify(test, outputs, config),
        applicability=applicability_report(test, output, content.domain, config),
        robustness=robustness_report(test, output, asker(candidate), content.standardise, config),
        curves={
            "roc": roc_curve(labels, outputs),
            "precision_recall": precision_recall_curve(labels, outputs),
            "reliability": reliability_curve(labels, outputs, config),
            "confusion": confusion(labels, output),
        },
    )


def _metrics(
    test: pd.DataFrame,
    labels: NDArray[np.bool_],
    models: Mapping[str, Predictor],
    outputs: Mapping[str, ModelOutput],
    pretrained: Mapping[str, Predictor],
    rest: Mapping[str, OnTheRest],
    config: EvaluateConfig,
) -> Metrics:
    comparison = Comparison(labels, outputs, config)
    tables = {
        key: _table(key, comparison, model, outputs[key], labels, config)
        for key, model in models.items()
    }
    candidate = tables[CANDIDATE_KEY]
    baselines = {key: table for key, table in tables.items() if key != CANDIDATE_KEY}
    same = [key for key in baselines if _same_config(models, key) or _same_scores(outputs, key)]
    differences = {key: _differences(comparison, key) for key in baselines if key not in same}
    for name, found in rest.items():
        of_two = {CANDIDATE_KEY: outputs[CANDIDATE_KEY].rows(found.kept), name: found.output}
        there = labels[found.kept]
        apart = Comparison(there, of_two, config)
        table = _table(name, apart, pretrained[name], found.output, there, config)
        source = Pretrained(
            sha256=config.pretrained[name].sha256,
            source=config.pretrained[name].source,
            test_pairs_trained_on=found.trained_on,
            test_pairs_refused=found.refused,
        )
        baselines[name] = table.model_copy(update={"pretrained": source})
        if _same_scores(of_two, name):
            same.append(name)
        else:
            differences[name] = _differences(apart, name)
    return Metrics(
        candidate=CandidateMetrics(model=models[CANDIDATE_KEY].info.name, **candidate.given()),
        baselines=baselines,
        differences=differences,
        same_as_candidate=same,
        test=PairCounts(
            n=len(labels),
            prevalence=prevalence(labels),
            drugs=test["drug_key"].nunique(),
            targets=test["target_key"].nunique(),
        ),
    )


def _predictions(
    test: pd.DataFrame, outputs: Mapping[str, ModelOutput], rest: Mapping[str, OnTheRest]
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
    config: EvaluateConfig,
) -> ModelMetrics:
    sets = model.content.conformal
    covered = coverage_report(sets, output.probabilities, labels, config.confidence)
    return comparison.table(key, covered)


def _differences(comparison: Comparison, key: str) -> Differences:
    return Differences(
        auroc=comparison.difference(CANDIDATE_KEY, key, "auroc"),
        auprc=comparison.difference(CANDIDATE_KEY, key, "auprc"),
    )


def _same_config(models: Mapping[str, Predictor], key: str) -> bool:
    """Return whether a baseline, fitted on the candidate's data, is configured as the candidate."""
    return models[key].content.config == models[CANDIDATE_KEY].content.config


def _same_scores(outputs: Mapping[str, ModelOutput], key: str) -> bool:
    return np.array_equal(outputs[key].scores, outputs[CANDIDATE_KEY].scores)
