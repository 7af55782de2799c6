"""The best drugs of a library for a target: found roughly, ordered exactly.

The matrix (``Model.matrix``) is fast but rounds, in bf16 by a few thousandths. It only chooses the
candidates: the best ``top_k`` and some more, the margin. These are scored again one by one
(``Model.score``), and that score orders them; equal scores stand in the order of their canonical
SMILES. So the top is the same in bf16 and float32, if no drug of the true top was left out by
rounding. ``is_certain`` tells by the candidates themselves: how far rounding moved them, and how
far the last of the top stands above the best drug that was left out. Where they do not tell, more
candidates are taken until they do, at the most all drugs: here by ``best_rows``, in a screen of
many targets by ``screening/widening.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.features.store import DrugFeatures, PairData, TargetFeatures
from stages.dti.models.base import Precision
from stages.dti.prediction.folder import ModelFolder
from stages.dti.prediction.inputs import PreparedInputs
from stages.dti.prediction.matrix import model_scores

MARGIN = 32
"""Candidates of ``rank`` beyond the top, at first."""

WIDENING = 2
"""Times as many candidates are taken while the top is uncertain."""

_ERROR_FACTOR = 2
"""A drug left out may have been moved by rounding farther than any candidate, but not twice."""

_ROUNDING = 1e-7
"""Of a score in [0, 1] to float32, and a little more."""


def best_rows(
    content: ModelFolder,
    drugs: PreparedInputs[DrugFeatures],
    target: PreparedInputs[TargetFeatures],
    top_k: int,
    precision: Precision,
) -> NDArray[np.int64]:
    """Return the best ``top_k`` different drugs for a single valid target, rows of ``drugs``.

    More candidates are taken until the order is certain. int64 ``(top_k or fewer,)``, best first.
    """
    if not drugs.texts:
        return np.zeros(0, dtype=np.int64)
    rough = model_scores(content, drugs, target, precision)[:, 0]
    order = best_first(rough, drugs.texts)
    exact, count = np.empty(0), top_k + MARGIN
    while True:
        candidates = order[:count]
        new = candidates[len(exact) :]
        scores = content.model.score(
            PairData(
                drugs=drugs.features,
                targets=target.features,
                scalers=content.scalers,
                drug_index=new,
                target_index=np.zeros(len(new), dtype=np.int64),
            )
        )
        exact = np.concatenate([exact, scores])
        left_out = float(rough[order[count]]) if count < len(order) else None
        if is_certain(exact, rough[candidates], left_out, top_k):
            break
        count *= WIDENING
    return candidates[best_first(exact, [drugs.texts[row] for row in candidates])[:top_k]]


def best_first(scores: NDArray[np.floating], texts: Sequence[str]) -> NDArray[np.int64]:
    """Return positions by falling score; equal scores by ``texts``. int64 ``(n,)``."""
    by_text = np.asarray(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.int64)
    return by_text[np.argsort(-scores[by_text], kind="stable")]


def is_certain(
    exact: NDArray[np.floating],
    rough: NDArray[np.floating],
    left_out: float | None,
    top_k: int,
) -> bool:
    """Return whether no drug that was left out can belong to the top.

    Args:
        exact, rough: both scores of each candidate, ``(candidates,)``.
        left_out: the best rough score of a drug that is no candidate; ``None`` if all are.
    """
    if left_out is None:
        return True
    error = _ERROR_FACTOR * float(np.abs(exact - rough).max()) + _ROUNDING
    last = float(np.sort(exact)[-min(top_k, len(exact))])
    return last > left_out + error


def merge_top(parts: Sequence[pd.DataFrame], count: int) -> pd.DataFrame:
    """Return the best ``count`` rows per target of several tables.

    Args:
        parts: columns ``target`` (int), ``score``, ``smiles`` and any others; a target's SMILES
            differ from each other.

    Returns:
        Ordered by target, falling score, SMILES; so merging in steps equals merging at once.
    """
    together = pd.concat(parts, ignore_index=True)
    together = together.sort_values(
        ["target", "score", "smiles"], ascending=[True, False, True], kind="stable"
    )
    return together.groupby("target", sort=False).head(count).reset_index(drop=True)
