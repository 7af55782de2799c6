"""The one interface that every model has, from the base rate to DrugBAN."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.dti.features.store import PairData


@dataclass(frozen=True)
class FitContext:
    """What a model may use while it is fitted.

    Attributes:
        seed: seeds everything random.
        threads: how many threads to use; fixed, since the order of a sum depends on it.
        workdir: an existing scratch folder (checkpoints).
        on_epoch: called with ``epoch`` and that epoch's metrics after each epoch or round.
    """

    seed: int
    threads: int
    workdir: Path
    on_epoch: Callable[[dict[str, float]], None]


class Model(ABC):
    """A trained model.

    How one is fitted is not its own business, so that a server need not import training:
    ``stages/dti/training/fit.py`` knows. Classical models have a class method
    ``fit(config, train, validation, context) -> Model``; ``train`` and ``validation`` are labelled
    ``PairData``, and ``validation`` is for early stopping alone.
    """

    @abstractmethod
    def score(self, pairs: PairData) -> NDArray[np.float64]:
        """Return one score per pair, float64 ``(pairs,)`` in [0, 1]; higher: likelier to interact.

        A pair's score is the same to the last bit whatever other pairs stand beside it.
        """

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the weights below an existing ``folder``; no pickle."""

    @classmethod
    @abstractmethod
    def load(cls, config: Any, folder: Path) -> Self:
        """Read what ``save`` wrote."""
