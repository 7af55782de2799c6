"""One chunk of a library against all targets: how it is scored, and kept for a later run.

A chunk depends on nothing but its own drugs, the model and the targets, so that it is the same
bytes in whatever order and process the chunks are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stages.dti.features.store import TargetFeatures
from stages.dti.files import write_folder
from stages.dti.models.base import Precision
from stages.dti.prediction.inputs import PreparedInputs
from stages.dti.prediction.matrix import model_scores
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.ranking import best_first


@dataclass(frozen=True)
class ChunkSettings:
    """How chunks are scored.

    Attributes:
        candidates: drugs kept per target.
        keep_scores: keep all scores too.
        threads: of a process that scores.
    """

    precision: Precision
    candidates: int
    keep_scores: bool
    threads: int


@dataclass(frozen=True)
class Chunk:
    """What was found for consecutive rows of a library.

    Attributes:
        drugs: one row per library row: ``smiles``, canonical, or ``None`` with a ``reason``.
        best: columns ``target`` (int32, row of the valid targets), ``row`` (int64, within the
            chunk), ``score`` (float32): the best candidates of each target.
        scores: the different drugs of the chunk as rows (``smiles``), a float32 column for each
            valid target, named by its number; no columns if they are not kept.
    """

    drugs: pd.DataFrame
    best: pd.DataFrame
    scores: pd.DataFrame

    def save(self, folder: Path) -> None:
        """Write the chunk as ``folder``, whole or not at all."""
        with write_folder(folder) as temporary:
            self.drugs.to_parquet(temporary / "drugs.parquet", index=False)
            self.best.to_parquet(temporary / "best.parquet", index=False)
            self.scores.to_parquet(temporary / "scores.parquet", index=False)

    @classmethod
    def load(cls, folder: Path) -> Chunk:
        """Read what ``save`` wrote."""
        return cls(
            *(pd.read_parquet(folder / f"{name}.parquet") for name in ("drugs", "best", "scores"))
        )


def score_chunk(
    predictor: Predictor,
    targets: PreparedInputs[TargetFeatures],
    smiles: Sequence[str | None],
    settings: ChunkSettings,
    *,
    processes: int | None = 1,
) -> Chunk:
    """Featurize and score one chunk.

    Args:
        smiles: as the library has them.
        processes: how many featurize; ``None``: all available.
    """
    drugs = predictor.prepare_drugs([text or "" for text in smiles], processes=processes)
    canonical = [drugs.texts[row] if row >= 0 else None for row in drugs.rows]
    scores = np.empty((0, len(targets.texts)), dtype=np.float32)
    if drugs.texts:
        scores = model_scores(predictor.content, drugs, targets, settings.precision)
    first_row = np.zeros(len(drugs.texts), dtype=np.int64)
    valid = np.flatnonzero(drugs.rows >= 0)[::-1]
    first_row[drugs.rows[valid]] = valid  # the first of equal drugs is written last
    tops = [
        best_first(scores[:, target], drugs.texts)[: settings.candidates]
        for target in range(len(targets.texts))
    ]
    chosen = np.concatenate(tops)
    target_index = np.repeat(np.arange(len(tops)), [len(top) for top in tops])
    kept = pd.DataFrame({"smiles": pd.Series(drugs.texts, dtype=object)})
    if settings.keep_scores:
        columns = pd.DataFrame(scores, columns=[str(n) for n in range(len(targets.texts))])
        kept = pd.concat([kept, columns], axis=1)
    else:
        kept = kept.iloc[:0]
    return Chunk(
        drugs=pd.DataFrame({"smiles": canonical, "reason": drugs.reasons}, dtype=object),
        best=pd.DataFrame(
            {
                "target": target_index.astype(np.int32),
                "row": first_row[chosen],
                "score": scores[chosen, target_index],
            }
        ),
        scores=kept,
    )


def limit_threads(threads: int) -> None:
    """Fix the threads of this process' matrix products."""
    import torch

    torch.set_num_threads(threads)
