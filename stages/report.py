"""Stage `report`: what the stages before it found, as pages and figures, and their summary.

In: ``reports/validation/validation.json``; ``reports/{prepare_metrics,leakage,featurize_metrics,
training_metrics,metrics,decision,screening_metrics}.json``; ``reports/plots/training/*.csv``
(learning curves); ``reports/plots/evaluation/*.csv``; ``reports/evaluation/{strata,applicability,
robustness}.json``; ``reports/screening/ranking.parquet``; ``models/promoted/MODEL_CARD.md``, or
``NO_MODEL.md`` where the gate refused and nothing was ever promoted.

Out: ``reports/report.html``, ``reports/pages/{validation,screening}.html``: styles, charts and
figures are inside; a page needs no network and no scripts, follows light and dark, and prints. No
time, no host: equal results give equal bytes.
``reports/figures/{roc,precision_recall,reliability,confusion,strata}.png``.
``reports/summary/``: the few figures that are compared between runs, DVC's metrics
(``reporting/summary.py``).

Reads the sections ``report`` (what is shown), ``evaluate`` (the intervals' confidence) and
``screen`` (what the screening page says of the screen).
"""

from __future__ import annotations

import logging

import pandas as pd

from stages.dti.artifacts.screening import ScreeningMetrics
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.report import ReportConfig
from stages.dti.config.screen import ScreenConfig
from stages.dti.files import write_folder, write_text
from stages.dti.paths import (
    EVALUATION_PLOTS,
    FIGURES,
    PAGES,
    REPORT,
    SCREENING,
    SCREENING_METRICS,
    SUMMARY,
    Paths,
)
from stages.dti.reporting.figures import results_to_draw, save_figures
from stages.dti.reporting.report_page import report_page
from stages.dti.reporting.results import read_results
from stages.dti.reporting.screening_page import screening_page
from stages.dti.reporting.summary import summary, write_summary
from stages.dti.reporting.validation_page import validation_page
from stages.dti.runtime.stage import main

logger = logging.getLogger(__name__)


def run(
    paths: Paths, *, report: ReportConfig, evaluate: EvaluateConfig, screen: ScreenConfig
) -> None:
    """Draw the figures, write the pages and the summary.

    Raises:
        DataError: a result is missing, or lacks what a page needs.
    """
    results = read_results(paths)
    drawn = results_to_draw(
        results.metrics, results.strata, paths.read(EVALUATION_PLOTS), evaluate.confidence
    )
    with write_folder(paths.write(FIGURES)) as folder:
        save_figures(drawn, folder)
    ranking = pd.read_parquet(paths.read(SCREENING) / "ranking.parquet")
    screened = ScreeningMetrics.read(paths.read(SCREENING_METRICS))
    page = report_page(results, paths.write(FIGURES), report.title, evaluate.confidence)
    with write_folder(paths.write(PAGES)) as folder:
        write_text(folder / "validation.html", validation_page(results.validation))
        write_text(folder / "screening.html", screening_page(ranking, screened, screen, report))
    write_text(paths.write(REPORT), page)
    write_summary(
        paths.write(SUMMARY), summary(results.metrics, results.decision, results.validation)
    )
    logger.info("open %s in a browser", paths.write(REPORT))


if __name__ == "__main__":
    main(run)
