"""AUROC and AUPRC by what a model met in train: one number for all pairs hides where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.artifacts.evaluation import (
    Minimum,
    Ranking,
    SeenStratum,
    SimilarityStratum,
    Strata,
)
from stages.dti.artifacts.measured import Measure
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.evaluation.bootstrap import MIN_PAIRS, MIN_PER_CLASS, too_few
from stages.dti.evaluation.metrics import RANKING, Comparison, ModelOutput, prevalence

WORDS = {True: "seen", False: "unseen"}


def stratify(
    pairs: pd.DataFrame, outputs: Mapping[str, ModelOutput], config: EvaluateConfig
) -> Strata:
    """Return the strata of the test pairs, each with every model's metrics.

    Args:
        pairs: columns ``label``, ``drug_seen``, ``target_seen`` (in train), ``drug_similarity``
            (to the nearest train drug, Tanimoto, 0 to 1); row i belongs to row i of the outputs.
        outputs: model name → its output for all pairs.
        config: edges of the similarity bins, number of resamples.
    """
    labels = pairs["label"].to_numpy().astype(bool)
    drug_seen = pairs["drug_seen"].to_numpy().astype(bool)
    target_seen = pairs["target_seen"].to_numpy().astype(bool)
    seen = [
        SeenStratum(
            name=f"drug {WORDS[drug]}, target {WORDS[target]}",
            drug_seen=drug,
            target_seen=target,
            **_measured(labels, outputs, (drug_seen == drug) & (target_seen == target), config),
        )
        for drug in (True, False)
        for target in (True, False)
    ]
    similarity = pairs["drug_similarity"].to_numpy()
    edges = config.similarity_edges
    # In the similarity's own precision: a float32 0.7 lies below 0.7, but belongs to its bin.
    inner = np.asarray(edges[1:-1], dtype=similarity.dtype)
    bin_of = np.searchsorted(inner, similarity, side="right")
    binned = [
        SimilarityStratum(
            name=_bin_name(low, high),
            low=low,
            high=high,
            **_measured(labels, outputs, bin_of == position, config),
        )
        for position, (low, high) in enumerate(pairwise(edges))
    ]
    minimum = Minimum(pairs=MIN_PAIRS, per_class=MIN_PER_CLASS)
    return Strata(minimum=minimum, seen=seen, drug_similarity=binned)


class _Measured(TypedDict):
    """What every kind of stratum holds; the reason only where there is one."""

    n: int
    prevalence: float | None
    models: dict[str, Ranking]
    reason: NotRequired[str]


def _measured(
    labels: NDArray[np.bool_],
    outputs: Mapping[str, ModelOutput],
    chosen: NDArray[np.bool_],
    config: EvaluateConfig,
) -> _Measured:
    """Return the pairs of a stratum and every model on them; below the minimum why not."""
    inside = labels[chosen]
    reason = too_few(inside) if len(inside) else "no test pair belongs here"
    if reason is not None:
        nothing = Measure(value=None, low=None, high=None)
        unmeasured = {name: Ranking(auroc=nothing, auprc=nothing) for name in outputs}
        return {
            "n": len(inside),
            "prevalence": prevalence(inside),
            "models": unmeasured,
            "reason": reason,
        }
    rows = {name: output.rows(chosen) for name, output in outputs.items()}
    comparison = Comparison(inside, rows, config, RANKING)
    return {
        "n": len(inside),
        "prevalence": prevalence(inside),
        "models": {name: Ranking(**comparison.metrics(name)) for name in outputs},
    }


def _bin_name(low: float, high: float) -> str:
    return f"{low:g} to {high:g}" if high == 1 else f"{low:g} to below {high:g}"
