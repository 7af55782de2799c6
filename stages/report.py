"""Stage `report`: one self-contained HTML file of every stage's results, and their summary.

In: ``reports/validation/validation.json``; ``reports/{prepare_metrics,leakage,featurize_metrics,
training_metrics,metrics,decision}.json``; ``reports/plots/training/*.csv`` (learning curves);
``reports/evaluation/{strata.json,applicability.json,pictures/}``;
``models/promoted/MODEL_CARD.md``, or ``NO_MODEL.md`` where the gate refused and nothing was ever
promoted.

Out: ``reports/report.html``: styles, charts and pictures are inside; it needs no network and no
scripts, follows light and dark, and prints. No time, no host: equal results give equal bytes.
``reports/summary/``: the few figures that are compared between runs, DVC's metrics
(``reporting/summary.py``).

Reads the sections ``report`` (the title) and ``evaluate`` (the intervals' confidence).
"""

from __future__ import annotations

import logging

from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.report import ReportConfig
from stages.dti.files import write_text
from stages.dti.paths import REPORT, SUMMARY, Paths
from stages.dti.reporting.report_page import report_page
from stages.dti.reporting.results import read_results
from stages.dti.reporting.summary import summary, write_summary
from stages.dti.runtime.stage import main

logger = logging.getLogger(__name__)


def run(paths: Paths, *, report: ReportConfig, evaluate: EvaluateConfig) -> None:
    """Write the report and the summary.

    Raises:
        DataError: a result is missing, or lacks what the report needs.
    """
    results = read_results(paths)
    page = report_page(results, report.title, evaluate.confidence)
    figures = summary(results.metrics, results.decision, results.validation)
    write_text(paths.write(REPORT), page)
    write_summary(paths.write(SUMMARY), figures)
    logger.info("open %s in a browser", paths.write(REPORT))


if __name__ == "__main__":
    main(run)
