"""How much each pair counts when a model is fitted."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from stages.dti.features.store import PairData


def weighted(pairs: PairData, class_weight: Literal["none", "balanced"]) -> PairData:
    """Return the pairs with their weights.

    ``none``: as they are. ``balanced``: both classes weigh the same together, and a pair 1 on
    average: ``pairs / (2 · pairs of its class)``, as scikit-learn has it.
    """
    if class_weight == "none":
        return pairs
    assert pairs.labels is not None
    positive = pairs.labels > 0.5
    of_class = np.where(positive, positive.sum(), (~positive).sum())
    return replace(pairs, weights=(len(pairs) / (2 * of_class)).astype(np.float32))
