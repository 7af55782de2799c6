"""The one interface that every model has, from the base rate to DrugBAN."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from stages.dti.features.store import DrugFeatures, PairData, Scalers, TargetFeatures

Precision = Literal["float32", "bf16"]
"""Of the arithmetic that screening may use; ``Model.score`` knows only its own."""

OnEpoch = Callable[[dict[str, float]], None]
"""Called with ``epoch``, counted from 0, and that epoch's metrics."""

Encoding = Any
"""What a model makes of one drug or target by itself, before it meets another; its own business."""

_PAIRS_AT_ONCE = 1 << 16


def _unheard(_member: str, _number: int) -> OnEpoch:
    return lambda _metrics: None


@dataclass(frozen=True)
class Encodings:
    """Of the unique drugs and targets of pairs, one per row of their features."""

    drugs: Sequence[Encoding]
    targets: Sequence[Encoding]


@dataclass(frozen=True)
class FitContext:
    """What a model may use while it is fitted.

    Attributes:
        seed: seeds everything random.
        threads: how many threads to use; fixed, since the order of a sum depends on it.
        workdir: an existing scratch folder.
        on_epoch: called after each epoch or round of boosting; of a fit that is resumed, first
            with its earlier epochs.
        checkpoint: a folder that need not exist, from which the fit resumes if it was killed and
            which no other fit may use; ``None``: it begins anew.
        on_fit: called before each fit of an ensemble with its member's name and its number; gives
            that fit's ``on_epoch``. By default nobody hears of them.
    """

    seed: int
    threads: int
    workdir: Path
    on_epoch: OnEpoch
    checkpoint: Path | None = None
    on_fit: Callable[[str, int], OnEpoch] = _unheard


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

    def member_scores(self, pairs: PairData) -> NDArray[np.float64]:
        """Return the score that each fitted model within this one gives, ``(members, pairs)``.

        A model that is no ensemble is its own only member.
        """
        return self.score(pairs)[None]

    def encode_drugs(self, drugs: DrugFeatures, scalers: Scalers) -> Sequence[Encoding]:
        """Return what becomes of each drug by itself, whatever others stand beside it.

        A model that does nothing before drug and target meet has nothing to keep.
        """
        return [None] * len(drugs)

    def encode_targets(self, targets: TargetFeatures, scalers: Scalers) -> Sequence[Encoding]:
        """Return what becomes of each target by itself, likewise."""
        return [None] * len(targets)

    def encoded_member_scores(self, pairs: PairData, encodings: Encodings) -> NDArray[np.float64]:
        """Return what ``member_scores`` does, bit for bit, with the encodings that were made."""
        return self.member_scores(pairs)

    def combine(self, member_scores: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the score that follows from those of the members, in the same order and shape."""
        (scores,) = member_scores
        return scores

    def matrix(
        self,
        drugs: DrugFeatures,
        targets: TargetFeatures,
        scalers: Scalers,
        precision: Precision,
    ) -> NDArray[np.float32]:
        """Return the scores of all drugs against all targets, float32 ``(drugs, targets)``.

        For screening: a score may differ from ``score`` by rounding, and with the drugs and
        targets that stand beside it. This form rounds what ``score`` says of every pair, whatever
        the ``precision``; a model that can share work between pairs has its own.
        """
        scores = np.empty(len(drugs) * len(targets), dtype=np.float32)
        for start in range(0, len(scores), _PAIRS_AT_ONCE):
            pairs = np.arange(start, min(start + _PAIRS_AT_ONCE, len(scores)))
            drug_index, target_index = np.divmod(pairs, len(targets))
            scores[pairs] = self.score(PairData(drugs, targets, scalers, drug_index, target_index))
        return scores.reshape(len(drugs), len(targets))

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the weights below an existing ``folder``; no pickle."""


class SingleModel(Model):
    """A model that holds no others."""

    @classmethod
    @abstractmethod
    def load(cls, config: Any, folder: Path) -> Self:
        """Read what ``save`` wrote."""


class ClassicalModel(SingleModel):
    """A model that is fitted without a trainer.

    Attributes:
        weighs_pairs: whether its loss counts pairs by their weights.
    """

    weighs_pairs: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, train: PairData, validation: PairData, context: FitContext) -> Self:
        """Fit on ``train``; ``validation`` may only stop or tune the fit."""
