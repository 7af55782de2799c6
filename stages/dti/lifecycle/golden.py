"""Golden predictions: a few test pairs and what the exported model says of them.

Whoever loads the model elsewhere asks it again, and knows that it still answers the same.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from stages.dti.artifacts.model import Golden, GoldenPair
from stages.dti.errors import ModelError
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair

TOLERANCE = 1e-4
"""Largest difference of a score that another processor, summing in another order, may make."""


def golden_predictions(predictor: Predictor, test: pd.DataFrame, count: int) -> Golden:
    """Return pairs from the lowest to the highest score.

    Args:
        predictor: loaded from the exported folder.
        test: columns ``smiles``, ``sequence``, ``candidate_score`` (what ``evaluate`` found).
        count: how many pairs; fewer where the test set is smaller.

    Raises:
        ModelError: the exported model does not say what ``evaluate`` measured.
    """
    ranked = test.sort_values("candidate_score", kind="stable")
    positions = np.unique(np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round())
    chosen = ranked.iloc[positions.astype(int)]
    pairs = [
        Pair(*row) for row in chosen[["smiles", "sequence"]].itertuples(index=False, name=None)
    ]
    golden = []
    for pair, sequence, expected, answer in zip(
        pairs,
        chosen["sequence"],
        chosen["candidate_score"],
        predictor.predict(pairs),
        strict=True,
    ):
        if (
            answer.score is None
            or answer.probability is None
            or abs(answer.score - expected) > TOLERANCE
        ):
            raise ModelError(
                f"the exported model gives {pair.smiles} the score {answer.score} "
                f"({answer.reason or 'valid'}), `evaluate` measured {expected}; they are not the "
                "same model: run `dvc repro evaluate`"
            )
        golden.append(
            GoldenPair(
                smiles=pair.smiles,
                sequence=sequence,
                score=answer.score,
                probability=answer.probability,
            )
        )
    return Golden(pairs=golden)
