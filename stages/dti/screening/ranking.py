"""The best drugs of a library for a target: found roughly, ordered exactly.

The matrix (``Model.matrix``) is fast but rounds, in bf16 by a few thousandths. It only chooses the
candidates: the best ``top_k`` and some more, the margin. These are scored again one by one
(``Model.score``), and that score orders them; equal scores stand in the order of their canonical
SMILES. So the top is the same in bf16 and float32, if no drug of the true top was left out by
rounding. ``is_certain`` tells by the candidates themselves: how far rounding moved them, and how
far the last of the top stands above the best drug that was left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.errors import InvalidInputError
from stages.dti.features.ready import Ready
from stages.dti.features.store import DrugFeatures, PairData
from stages.dti.models.base import Precision
from stages.dti.prediction import Pair, Prediction, Target
from stages.dti.screening.matrix import model_scores

if TYPE_CHECKING:
    from stages.dti.predictor import Predictor

MARGIN = 32
"""Candidates of ``rank`` beyond the top, at first."""

_ERROR_FACTOR = 2
"""A drug left out may have been moved by rounding farther than any candidate, but not twice."""

_ROUNDING = 1e-7
"""Of a score in [0, 1] to float32, and a little more."""


@dataclass(frozen=True)
class Ranked:
    """One drug of a ranked library.

    Attributes:
        rank: from 1.
        position: of the drug in the library; the first, if it stands there more than once.
        prediction: as ``Predictor.predict`` gives it for the pair.
    """

    rank: int
    position: int
    prediction: Prediction


def rank_library(
    predictor: Predictor,
    library: Sequence[str] | Ready[DrugFeatures],
    target: Target,
    top_k: int,
    precision: Precision,
) -> list[Ranked]:
    """Return the best ``top_k`` drugs for a target; more candidates are taken until it is certain.

    Raises:
        InvalidInputError: the target cannot be scored.
    """
    drugs = library if isinstance(library, Ready) else predictor.ready_drugs(library)
    targets = predictor.ready_targets([target])
    if targets.reasons[0] is not None:
        raise InvalidInputError(targets.reasons[0])
    if not drugs.texts:
        return []
    rough = model_scores(predictor, drugs, targets, precision)[:, 0]
    order = best_first(rough, drugs.texts)
    exact, count = np.empty(0), top_k + MARGIN
    while True:
        candidates = order[:count]
        new = candidates[len(exact) :]
        scores = predictor.content.model.score(
            PairData(
                drugs=drugs.features,
                targets=targets.features,
                scalers=predictor.content.scalers,
                drug_index=new,
                target_index=np.zeros(len(new), dtype=np.int64),
            )
        )
        exact = np.concatenate([exact, scores])
        left_out = float(rough[order[count]]) if count < len(order) else None
        if is_certain(exact, rough[candidates], left_out, top_k):
            break
        count *= 2
    texts = [drugs.texts[row] for row in candidates]
    top = candidates[best_first(exact, texts)[:top_k]]
    positions = dict(zip(drugs.rows[::-1].tolist(), range(len(drugs.rows))[::-1], strict=True))
    predictions = predictor.predict([Pair(drugs.texts[row], targets.texts[0]) for row in top])
    return [
        Ranked(rank, positions[int(row)], prediction)
        for rank, (row, prediction) in enumerate(zip(top, predictions, strict=True), start=1)
    ]


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
