"""What every encoder is: a module that says what it reads, and turns it into rows.

``forward`` maps a batch of the kind that ``collect`` makes to ``(rows, dim)``, rows as the batch
has them: any number per drug or target. A drug's or target's rows depend on no other's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from torch import nn

from stages.dti.features.store import DrugFeatures, Scalers, TargetFeatures
from stages.dti.models.drugban.batch import DrugBatch, TargetBatch


class DrugEncoder(nn.Module, ABC):
    """Encodes drugs.

    Attributes:
        width: of a row of the features that it reads.
        dim: of a row that it returns.
    """

    width: int
    dim: int

    @abstractmethod
    def collect(self, drugs: DrugFeatures, rows: NDArray[np.int64], scalers: Scalers) -> DrugBatch:
        """Return what the encoder reads of ``rows`` of ``drugs``, and nothing else."""

    @abstractmethod
    def sizes(self, drugs: DrugFeatures) -> NDArray[np.int64]:
        """Return how many rows each drug has, int64 ``(drugs,)``."""


class TargetEncoder(nn.Module, ABC):
    """Encodes targets; attributes as of ``DrugEncoder``."""

    width: int
    dim: int

    @abstractmethod
    def collect(
        self,
        targets: TargetFeatures,
        rows: NDArray[np.int64],
        scalers: Scalers,
        crop: int = 0,
        generator: np.random.Generator | None = None,
    ) -> TargetBatch:
        """Return what the encoder reads of ``rows`` of ``targets``, and nothing else.

        Args:
            crop: a target of more rows is cut to a random window of ``crop``; 0: never.
            generator: draws the windows; required when ``crop`` is not 0.
        """

    @abstractmethod
    def sizes(self, targets: TargetFeatures) -> NDArray[np.int64]:
        """Return how many rows each target has, int64 ``(targets,)``."""
