"""A screen that ends when every top is certain, as ``Predictor.rank`` does for a single target.

Targets whose top is uncertain are screened again, alone, for twice the candidates, until it is
certain or all drugs are candidates. Each such screen is a ``Job`` of its own: through the same
engine, chunk by chunk, its chunks kept beside those of the first one until the stage has succeeded.
"""

from __future__ import annotations

import logging
from pathlib import Path

from stages.dti.prediction.ranking import WIDENING
from stages.dti.screening.job import Engine, Job, complete
from stages.dti.screening.results import Screening, gather, rank_exactly, screening

logger = logging.getLogger(__name__)

_CANDIDATES_AT_ONCE = 1_000_000
"""Of targets that are screened again together; bounds the memory of their candidates."""


def screen_until_certain(
    job: Job, engine: Engine, cache: Path, top_k: int, scores: Path | None
) -> Screening:
    """Score the library, order the best exactly, and take more candidates where that is not enough.

    Args:
        cache: folder of the chunks.
        scores: a new folder for the whole matrix, as ``gather`` takes it.

    Raises:
        DataError: no drug of the library can be scored.
    """
    complete(job, engine, cache)
    gathered = gather(job, cache, scores)
    ranked = rank_exactly(job, gathered, top_k)
    tables, uncertain = ranked.tables, ranked.uncertain
    widened, candidates = len(uncertain), job.settings.candidates
    while uncertain:
        candidates *= WIDENING
        logger.info(
            "%d of %d targets are uncertain: screened again for %d candidates each",
            len(uncertain),
            len(tables),
            candidates,
        )
        at_once = max(1, _CANDIDATES_AT_ONCE // min(candidates, gathered.drugs))
        pending, uncertain = uncertain, []
        for start in range(0, len(pending), at_once):
            rows = pending[start : start + at_once]
            again = job.narrowed(rows, candidates)
            folder = cache / again.key
            complete(again, engine, folder)
            ranked = rank_exactly(again, gather(again, folder, None), top_k)
            tables |= {rows[row]: table for row, table in ranked.tables.items()}
            uncertain += [rows[row] for row in ranked.uncertain]
    return screening(job, gathered, tables, widened)
