"""A screen in chunks that survive a killed run.

``data/cache/screen/<key>/`` holds a folder per finished chunk. The key is a hash of all that
decides what a chunk holds, so a chunk found there is never one of another model, library or code.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from stages.dti.errors import DataError
from stages.dti.features.store import TargetFeatures
from stages.dti.hashing import code_sha256
from stages.dti.prediction.inputs import PreparedInputs
from stages.dti.prediction.predictor import Predictor
from stages.dti.runtime.progress import EACH_S, ProgressLog
from stages.dti.screening.chunks import Chunk, ChunkSettings, limit_threads, score_chunk
from stages.dti.screening.library import as_targets

logger = logging.getLogger(__name__)

_LIBRARIES = ("datamol", "numpy", "rdkit", "torch", "lightgbm")
"""Packages whose version may show in a score."""

_PARALLEL_FROM = 20_000
"""Below this many drugs, processes that featurize cost more to start than they save."""


@dataclass(frozen=True)
class Job:
    """What is screened, and how.

    Attributes:
        folder: of the model; ``predictor`` is loaded from it.
        library, targets: as ``library.py`` reads them.
        ready: the targets featurized.
        chunk_drugs: library rows per chunk.
    """

    folder: Path
    predictor: Predictor
    library: pd.DataFrame
    targets: pd.DataFrame
    ready: PreparedInputs[TargetFeatures]
    settings: ChunkSettings
    chunk_drugs: int

    @classmethod
    def prepare(
        cls,
        folder: Path,
        predictor: Predictor,
        library: pd.DataFrame,
        targets: pd.DataFrame,
        settings: ChunkSettings,
        chunk_drugs: int,
    ) -> Job:
        """Featurize the targets.

        Raises:
            DataError: two targets have one id, or none of them can be scored.
        """
        twice = targets.loc[targets["target_id"].duplicated(), "target_id"]
        if len(twice):
            raise DataError(
                f"screen.targets names {twice.iloc[0]!r} more than once; give every target its own "
                "target_id"
            )
        ready = predictor.prepare_targets(as_targets(targets))
        if not ready.texts:
            raise DataError(
                f"none of the {len(targets)} targets of screen.targets can be scored; "
                f"the first, {targets['target_id'].iloc[0]!r}: {ready.reasons[0]}"
            )
        return cls(folder, predictor, library, targets, ready, settings, chunk_drugs)

    def narrowed(self, rows: Sequence[int], candidates: int) -> Job:
        """Return the screen of some targets alone, for more candidates; no scores are kept.

        Args:
            rows: of ``targets``; they can be scored.
        """
        return Job.prepare(
            self.folder,
            self.predictor,
            self.library,
            self.targets.iloc[list(rows)].reset_index(drop=True),
            replace(self.settings, candidates=candidates, keep_scores=False),
            self.chunk_drugs,
        )

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-len(self.library) // self.chunk_drugs)

    def smiles(self, chunk: int) -> list[str | None]:
        """Return the SMILES of a chunk, as the library has them."""
        start = chunk * self.chunk_drugs
        column = self.library["smiles"].iloc[start : start + self.chunk_drugs]
        return list(column)

    @property
    def key(self) -> str:
        """SHA-256 over all that decides what the chunks hold."""
        facts = {
            "model": self.predictor.info.sha256,
            "library": self.library["smiles"].tolist(),
            "targets": self.ready.texts,
            "settings": asdict(self.settings),
            "chunk_drugs": self.chunk_drugs,
            "code": code_sha256(),
            "libraries": {name: version(name) for name in _LIBRARIES},
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


Engine = Callable[[Job, Sequence[int]], Iterator[tuple[int, Chunk]]]
"""Scores the chunks of the given numbers, and yields each as soon as it is done, in any order."""


def score_locally(job: Job, chunks: Sequence[int]) -> Iterator[tuple[int, Chunk]]:
    """Score the chunks one after the other in this process."""
    limit_threads(job.settings.threads)
    processes = None if len(job.library) >= _PARALLEL_FROM else 1
    for number in chunks:
        smiles = job.smiles(number)
        yield (
            number,
            score_chunk(job.predictor, job.ready, smiles, job.settings, processes=processes),
        )


def complete(job: Job, engine: Engine, cache: Path) -> None:
    """Score the chunks that ``cache`` does not hold yet."""
    missing = [number for number in range(job.chunks) if not chunk_folder(cache, number).is_dir()]
    kept = job.chunks - len(missing)
    if kept:
        logger.info("%d of %d chunks were kept by a run before", kept, job.chunks)
    progress = ProgressLog("chunks screened", job.chunks, done=kept, every_s=EACH_S)
    for number, chunk in engine(job, missing):
        chunk.save(chunk_folder(cache, number))
        progress.advance(words=f"{len(chunk.drugs):,} drugs in the last")


def chunk_folder(cache: Path, number: int) -> Path:
    """Return where a chunk is kept."""
    return cache / f"chunk-{number:05d}"
