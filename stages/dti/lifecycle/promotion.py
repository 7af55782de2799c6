"""The candidate beside the model promoted before it: by its record, or by its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from stages.dti.artifacts.decision import PreviousComparison
from stages.dti.artifacts.export import MODEL, Export
from stages.dti.artifacts.metrics import Metrics
from stages.dti.artifacts.model import ModelFacts
from stages.dti.artifacts.production import Promotion
from stages.dti.errors import ConfigError
from stages.dti.evaluation.metrics import RANKING
from stages.dti.features.store import FEATURE_VERSION
from stages.dti.files import read_json
from stages.dti.lifecycle.record import MEASURED_ON, before
from stages.dti.prediction.folder import FORMAT_VERSION
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair

DECIMALS = 6

Find = Callable[[str], Export | None]
"""Returns the export with a model's hash, wherever its files lie."""


def compare_with_previous(
    history: Sequence[Promotion],
    model_sha256: str,
    candidate_facts: ModelFacts,
    metrics: Metrics,
    test: pd.DataFrame,
    find: Find,
) -> PreviousComparison | None:
    """Compare the candidate with the newest promoted model that is another one.

    A candidate that is in production already is so compared with the model before it, as it was
    when it was promoted, and comes to the same decision again.

    If both were measured on the same pairs, their metrics are compared. Otherwise the previous
    model scores the current test pairs, without those that it was trained on, and the candidate
    is measured on the same remainder.

    Args:
        history: of the environment's alias.
        model_sha256: the candidate's.
        candidate_facts: the candidate's ``model.json``.
        metrics: ``reports/metrics.json``.
        test: columns ``smiles``, ``sequence``, ``label``, ``candidate_score``.

    Returns:
        ``None`` when no other model was promoted.
    """
    previous = before(list(history), model_sha256)
    if previous is None:
        return None
    measured_on = candidate_facts.data_sha256
    if all(previous.data_sha256[name] == measured_on.get(name) for name in MEASURED_ON):
        return PreviousComparison(
            model=previous.model,
            model_sha256=previous.model_sha256,
            basis="recorded",
            reason="both were evaluated on the same data and split",
            pairs=metrics.candidate.n,
            left_out=0,
            previous={metric: previous.test[metric] for metric in RANKING},
            candidate={metric: metrics.candidate.of(metric).value for metric in RANKING},
        )
    newest = history[-1]
    if newest.model_sha256 == model_sha256 and newest.comparison is not None:
        # A clone need not have the files of the model before; its comparison is on record.
        return newest.comparison
    export = find(previous.model_sha256)
    if export is None:
        reason = (
            "the data or the split changed since, and its files lie neither in models/promoted nor "
            "in the registry"
        )
        return _incomparable(previous, reason)
    return _rescore(previous, export, test)


def _rescore(previous: Promotion, export: Export, test: pd.DataFrame) -> PreviousComparison:
    facts = read_json(export.folder / MODEL)  # it may be of an earlier format
    written = facts.get("format_version", 1)
    if written != FORMAT_VERSION:
        reason = (
            f"it was written in format {written}, this code reads format {FORMAT_VERSION}, and it "
            "was evaluated on other data"
        )
        return _incomparable(previous, reason)
    if facts["feature_version"] != FEATURE_VERSION:
        reason = (
            f"it needs feature version {facts['feature_version']}, this code computes "
            f"{FEATURE_VERSION}, and it was evaluated on other data"
        )
        return _incomparable(previous, reason)
    try:
        predictor = Predictor.load(export.folder)
    except ConfigError as error:
        reason = f"this code no longer knows its configuration ({' '.join(str(error).split())})"
        return _incomparable(previous, reason)
    pairs = [Pair(*row) for row in test[["smiles", "sequence"]].itertuples(index=False, name=None)]
    featurized = predictor.featurize(pairs)
    scores, _ = predictor.scores(featurized)
    trained_on = predictor.reference_facts(featurized).pair_seen
    kept = featurized.valid[~trained_on]
    labels = test["label"].to_numpy()[kept]
    reason = (
        f"the data or the split changed since: it scored {len(kept)} of {len(test)} test pairs "
        f"anew; {int(trained_on.sum())} were left out because it was trained on them"
    )
    refused = len(test) - len(featurized.valid)
    if refused:
        reason += f", {refused} because it refuses their structure"
    return PreviousComparison(
        model=previous.model,
        model_sha256=previous.model_sha256,
        basis="rescored",
        reason=reason,
        pairs=len(kept),
        left_out=len(test) - len(kept),
        previous=_ranking(labels, scores[~trained_on]),
        candidate=_ranking(labels, test["candidate_score"].to_numpy()[kept]),
    )


def _incomparable(previous: Promotion, reason: str) -> PreviousComparison:
    return PreviousComparison(
        model=previous.model,
        model_sha256=previous.model_sha256,
        basis="none",
        reason=reason,
        pairs=0,
        left_out=0,
        previous=None,
        candidate=None,
    )


def _ranking(labels: NDArray[Any], scores: NDArray[np.float64]) -> dict[str, float | None]:
    if len(np.unique(labels)) < 2:
        return {"auroc": None, "auprc": None}
    return {
        "auroc": round(float(roc_auc_score(labels, scores)), DECIMALS),
        "auprc": round(float(average_precision_score(labels, scores)), DECIMALS),
    }
