"""Stage `validate`: is the raw data worth preparing?

In: ``data/raw/`` (of `acquire`).

Out:
- ``reports/validation_metrics.json``: numbers only: quality_score (0-100), coverage_fraction
  (usable rows, 0-1), checks_total, checks_passed, checks_failed, rows, rows_usable, drugs,
  targets, positive_fraction, and what each check observed.
- ``reports/validation/``: ``validation.json`` (every result), ``data_docs/`` (Great Expectations).

Reads the sections ``dataset``, ``standardise`` (limits of size) and ``validate``. With
``validate.on_failure=fail`` a failed check, or a score below ``validate.min_quality_score``, fails
the stage once the reports are written, and `prepare`, which depends on them, does not run.
"""

from __future__ import annotations

import logging

from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.validate import ValidateConfig
from stages.dti.data.sources.formats import read_records
from stages.dti.data.validation.check_tables import make_tables
from stages.dti.data.validation.checks import all_checks
from stages.dti.data.validation.expectations import run_checks
from stages.dti.data.validation.quality import document, judge, metrics
from stages.dti.errors import DataError
from stages.dti.files import write_folder
from stages.dti.paths import RAW, VALIDATION, VALIDATION_METRICS, Paths
from stages.dti.runtime.stage import main

logger = logging.getLogger(__name__)


def run(
    paths: Paths,
    *,
    dataset: DatasetConfig,
    validate: ValidateConfig,
    standardise: StandardiseConfig,
) -> None:
    """Check the raw records and write the reports.

    Raises:
        DataError: a check failed or the score is too low, and ``on_failure`` is ``fail``.
    """
    records = read_records(dataset, paths.read(RAW))
    tables = make_tables(records, dataset, standardise)
    folder = paths.write(VALIDATION)
    with write_folder(folder) as temporary:
        results = run_checks(tables, all_checks(validate, standardise), temporary / "data_docs")
        quality = judge(tables, results, validate)
        document(quality, dataset.name).write(temporary / "validation.json")
    metrics(quality).write(paths.write(VALIDATION_METRICS))
    logger.info(
        "quality score %g, %d of %d checks passed, %.2f %% of %d rows usable",
        quality.score,
        quality.passed,
        len(quality.results),
        100 * quality.coverage,
        quality.rows,
    )
    if not quality.problems:
        return
    if validate.on_failure == "report":
        for problem in quality.problems:
            logger.warning("%s", problem)
        return
    raise DataError(
        f"the raw data of {dataset.name} failed validation:\n  "
        + "\n  ".join(quality.problems)
        + f"\nFailing rows: {folder / 'data_docs/index.html'}. Correct the source or change "
        "conf/validate; validate.on_failure=report goes on, and prepare then refuses the bad rows"
    )


if __name__ == "__main__":
    main(run)
