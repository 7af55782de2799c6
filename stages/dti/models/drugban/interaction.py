"""What every interaction is: a module that joins the rows of a drug with those of a target."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.dti.models.drugban.batch import DrugBatch, Movable, PairBatch, TargetBatch


class Joiner(ABC):
    """Joins any number of encoded drugs with one target.

    Made once for however many pairs, it may hold what follows from the weights alone; where they
    have changed, it is made anew.
    """

    @abstractmethod
    def drugs(self, rows: Tensor, starts: NDArray[np.int64]) -> Tensor:
        """Prepare the rows of drugs, of which number i's begin at ``starts[i]``."""

    @abstractmethod
    def target(self, rows: Tensor) -> Tensor:
        """Prepare the rows of one target, without gaps."""

    @abstractmethod
    def meet(self, drugs: Tensor, starts: NDArray[np.int64], target: Tensor) -> Tensor:
        """Return what ``Interaction.forward`` does, of each drug with the target."""


class Interaction(nn.Module, ABC):
    """Joins encoded drugs and targets.

    ``forward`` joins the pairs of a batch, to train; ``joiner`` joins drugs with one target, to
    score. They are the same function.

    Attributes:
        dim: width of what ``pool`` returns.
    """

    dim: int

    @abstractmethod
    def plan(
        self,
        drugs: DrugBatch,
        targets: TargetBatch,
        drug: NDArray[np.int64],
        target: NDArray[np.int64],
    ) -> Movable:
        """Lay out the pairs ``drug[i]``, ``target[i]``, which are sorted by target."""

    @abstractmethod
    def forward(self, drug_rows: Tensor, target_rows: Tensor, batch: PairBatch) -> Tensor:
        """Return what each pair of ``batch`` has in common, float32 ``(pairs, width)``."""

    @abstractmethod
    def joiner(self) -> Joiner:
        """Return what joins drugs with one target, by the present weights and without dropout."""

    @abstractmethod
    def pool(self, joint: Tensor) -> Tensor:
        """Map ``(pairs, width)`` to ``(pairs, dim)``."""
