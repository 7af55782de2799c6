"""AUROC and AUPRC by what a model met in train: one number for all pairs hides where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.evaluation.bootstrap import MIN_PAIRS, MIN_PER_CLASS, too_few
from stages.dti.evaluation.metrics import RANKING, Comparison, ModelOutput, counts

WORDS = {True: "seen", False: "unseen"}


def stratify(
    pairs: pd.DataFrame, outputs: Mapping[str, ModelOutput], config: EvaluateConfig
) -> dict[str, Any]:
    """Return the strata of the test pairs, each with every model's metrics.

    Args:
        pairs: columns ``label``, ``drug_seen``, ``target_seen`` (in train), ``drug_similarity``
            (to the nearest train drug, Tanimoto, 0 to 1); row i belongs to row i of the outputs.
        outputs: model name → its output for all pairs.
        config: edges of the similarity bins, number of resamples.

    Returns:
        ``minimum`` (pairs and pairs per class below which a stratum is only counted),
        ``seen`` (each of drug and target seen or unseen) and ``drug_similarity`` (bins
        ``[low, high)``, the last one closed). A stratum holds ``name``, what defines it, ``n``,
        ``prevalence`` and ``models``: name → ``auroc`` and ``auprc`` as ``{"value", "low",
        "high"}``; below the minimum these are ``None``, with a ``reason`` in the stratum.
    """
    labels = pairs["label"].to_numpy().astype(bool)
    drug_seen = pairs["drug_seen"].to_numpy().astype(bool)
    target_seen = pairs["target_seen"].to_numpy().astype(bool)
    seen = [
        {
            "name": f"drug {WORDS[drug]}, target {WORDS[target]}",
            "drug_seen": drug,
            "target_seen": target,
        }
        | _measure(labels, outputs, (drug_seen == drug) & (target_seen == target), config)
        for drug in (True, False)
        for target in (True, False)
    ]
    similarity = pairs["drug_similarity"].to_numpy()
    edges = config.similarity_edges
    # In the similarity's own precision: a float32 0.7 lies below 0.7, but belongs to its bin.
    inner = np.asarray(edges[1:-1], dtype=similarity.dtype)
    bin_of = np.searchsorted(inner, similarity, side="right")
    binned = [
        {"name": _bin_name(low, high), "low": low, "high": high}
        | _measure(labels, outputs, bin_of == position, config)
        for position, (low, high) in enumerate(pairwise(edges))
    ]
    minimum = {"pairs": MIN_PAIRS, "per_class": MIN_PER_CLASS}
    return {"minimum": minimum, "seen": seen, "drug_similarity": binned}


def _measure(
    labels: NDArray[np.bool_],
    outputs: Mapping[str, ModelOutput],
    chosen: NDArray[np.bool_],
    config: EvaluateConfig,
) -> dict[str, Any]:
    inside = labels[chosen]
    reason = too_few(inside) if len(inside) else "no test pair belongs here"
    if reason is not None:
        nothing = {"value": None, "low": None, "high": None}
        return counts(inside) | {
            "reason": reason,
            "models": {name: dict.fromkeys(RANKING, nothing) for name in outputs},
        }
    rows = {name: output.rows(chosen) for name, output in outputs.items()}
    comparison = Comparison(inside, rows, config, RANKING)
    return counts(inside) | {"models": {name: comparison.metrics(name) for name in outputs}}


def _bin_name(low: float, high: float) -> str:
    return f"{low:g} to {high:g}" if high == 1 else f"{low:g} to below {high:g}"
