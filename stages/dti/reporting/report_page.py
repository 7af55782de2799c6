"""Lays the results out: which charts, tables and words stand on the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup

from stages.dti.artifacts.decision import StrongestBaseline
from stages.dti.artifacts.evaluation import Strata, Stratum
from stages.dti.artifacts.leakage import NearestTrainSimilarity
from stages.dti.artifacts.measured import CountedShare, Measure
from stages.dti.artifacts.metrics import Metrics, ModelMetrics
from stages.dti.evaluation.metrics import LOWER_IS_BETTER, TITLES, bounds_text
from stages.dti.reporting.charts import (
    Interval,
    IntervalChart,
    histogram,
    interval_chart,
    line_chart,
)
from stages.dti.reporting.html import embedded, interval, render, words
from stages.dti.reporting.results import Results
from stages.dti.reporting.trust import coverage_rows, robustness_groups, warning_charts

Ranking = Literal["auroc", "auprc"]

CURVES = {
    "loss": "Loss",
    "auroc": "AUROC on validation",
    "learning_rate": "Learning rate",
    "gradient_norm": "Gradient norm",
}
"""Titles of the learning curves, in the order in which they are shown; others follow."""

FIGURES = {
    "roc": "ROC",
    "precision_recall": "Precision and recall",
    "reliability": "Reliability",
    "confusion": "Confusion",
}
"""Titles of the figures, likewise."""

STRATA_FIGURE = "strata"
"""The figure that stands beside the strata, not among the others."""

CONTENTS = (
    ("summary", "Summary"),
    ("decision", "Decision"),
    ("metrics", "Test metrics"),
    ("strata", "Where it is weak"),
    ("trust", "When to trust it"),
    ("training", "Training"),
    ("split", "Split and leakage"),
    ("data", "Data"),
    ("card", "Model card"),
)


def report_page(results: Results, figures: Path, title: str, confidence: float) -> str:
    """Return the whole page.

    Args:
        figures: the folder of the evaluation's figures (``figures.py``).
        title: its heading.
        confidence: of the intervals, such as 0.95.
    """
    drawn = {path.stem: embedded(path) for path in sorted(figures.glob("*.png"))}
    metric, strongest = results.decision.metric, results.decision.strongest_baseline
    return render(
        "report.html",
        contents=CONTENTS,
        title=title,
        confidence=confidence,
        metric=metric,
        metric_title=TITLES[metric],
        results=results,
        models_chart=_models_chart(results.metrics, metric, strongest),
        differences_chart=_differences_chart(results.metrics, metric),
        table=_metrics_table(results.metrics),
        strata_charts=_strata_charts(results.strata, metric, strongest),
        coverage_rows=coverage_rows(_models(results.metrics)),
        warning_charts=warning_charts(results.applicability),
        robustness_groups=robustness_groups(results.robustness),
        inside=_share(results.applicability.inside),
        outside=_share(results.applicability.outside),
        curves=_curve_figures(results),
        figures=[
            (title, drawn[name]) for name, title in _titles(drawn, FIGURES) if name != STRATA_FIGURE
        ],
        strata_figure=drawn.get(STRATA_FIGURE),
        similarity=_similarity_figures(results.leakage.nearest_train_similarity),
        rejections=_shares(results.prepare.rejected_by_reason),
        card=_markdown(results.card),
    )


def _share(entry: CountedShare) -> str:
    return interval(entry.value, entry.low, entry.high)


def _titles(present: Iterable[str], known: dict[str, str]) -> list[tuple[str, str]]:
    """Names that are there with their titles, known ones first, in their order."""
    names = list(present)
    ordered = [name for name in known if name in names]
    ordered += sorted(name for name in names if name not in known)
    return [(name, known.get(name, words(name))) for name in ordered]


def _models(metrics: Metrics) -> dict[str, ModelMetrics]:
    """Name shown → its metrics, the candidate first."""
    candidate = metrics.candidate
    named: dict[str, ModelMetrics] = {f"{words(candidate.model)} (candidate)": candidate}
    for name, table in metrics.baselines.items():
        remark = ""
        if name in metrics.same_as_candidate:
            remark = " (the same model)"
        elif table.n != metrics.test.n:
            remark = f" (on {table.n:,} of the pairs)"
        named[words(name) + remark] = table
    return named


def _models_chart(
    metrics: Metrics, metric: Ranking, strongest: StrongestBaseline | None
) -> IntervalChart:
    """Every model, the best first; a dashed line marks the strongest baseline."""
    reference = strongest.value if strongest else None
    rows = [
        Interval(
            name,
            table.of(metric).value,
            table.of(metric).low,
            table.of(metric).high,
            emphasis=position == 0,
            reference=reference,
        )
        for position, (name, table) in enumerate(_models(metrics).items())
    ]
    rows.sort(key=lambda row: -1.0 if row.value is None else row.value, reverse=True)
    return interval_chart(TITLES[metric], rows)


def _differences_chart(metrics: Metrics, metric: Ranking) -> IntervalChart:
    rows = [
        Interval(
            words(name),
            difference.value,
            difference.low,
            difference.high,
            note=difference.verdict or "",
            reference=0.0,
        )
        for name, of in metrics.differences.items()
        for difference in (of.of(metric),)
    ]
    return interval_chart(f"difference in {TITLES[metric]}", rows, "13rem", signed=True)


def _metrics_table(metrics: Metrics) -> dict[str, Any]:
    """Header and rows of the table; ``best`` marks the best value of a row."""
    models = _models(metrics)
    rows = []
    for metric, title in TITLES.items():
        entries = [table.of(metric) for table in models.values()]
        values = [entry.value for entry in entries if entry.value is not None]
        pick = min if metric in LOWER_IS_BETTER else max
        best = pick(values) if values else None
        cells = [
            {
                "value": entry.value,
                "interval": _bounds(entry),
                "best": best is not None and entry.value == best,
                "reason": entry.reason or "",
            }
            for entry in entries
        ]
        rows.append({"title": title, "lower_is_better": metric in LOWER_IS_BETTER, "cells": cells})
    thresholds = [table.threshold for table in models.values()]
    return {"models": list(models), "rows": rows, "thresholds": thresholds}


def _bounds(entry: Measure) -> str:
    if entry.low is None or entry.high is None:
        return ""
    return bounds_text(entry.low, entry.high, between="–")


def _strata_charts(
    strata: Strata, metric: Ranking, strongest: StrongestBaseline | None
) -> list[dict[str, Any]]:
    """One chart per way of dividing the test pairs: the candidate over the strongest baseline."""
    groups: tuple[tuple[str, Sequence[Stratum]], ...] = (
        ("Was the drug, was the target in train?", strata.seen),
        ("How similar is the nearest drug in train? (Tanimoto)", strata.drug_similarity),
    )
    charts = []
    for title, group in groups:
        rows, missing = [], []
        for stratum in group:
            entry = stratum.models["candidate"].of(metric)
            if entry.value is None:
                missing.append((stratum.name, stratum.n, stratum.reason))
                continue
            note = f"{stratum.n:,} pairs, {stratum.prevalence:.0%} interacting"
            rows.append(_stratum_row(stratum.name, entry, note, emphasis=True))
            if strongest and strongest.name in stratum.models:
                measured = stratum.models[strongest.name].of(metric)
                rows.append(_stratum_row(words(strongest.name), measured, "", emphasis=False))
        chart = interval_chart(TITLES[metric], rows, "14rem") if rows else None
        charts.append({"title": title, "chart": chart, "missing": missing})
    return charts


def _stratum_row(name: str, entry: Measure, note: str, *, emphasis: bool) -> Interval:
    return Interval(name, entry.value, entry.low, entry.high, note, emphasis)


def _curve_figures(results: Results) -> list[dict[str, Any]]:
    """One figure per curve and member; its fits are lines of one colour."""
    fits = results.training.fits
    figures = []
    for name, title in _titles(results.curves, CURVES):
        curves = results.curves[name]
        for member, of_member in fits.items():
            table = curves[curves["member"] == member]
            if table.empty:
                continue
            epochs, series = _lines(table)
            marks = [fit.best_epoch for fit in of_member.values()]
            figures.append(
                {
                    "title": title if len(fits) == 1 else f"{title}: {words(member)}",
                    "lines": [words(line) for line in series] if len(series) > 1 else [],
                    "chart": line_chart(
                        epochs,
                        series,
                        x_title="epoch",
                        marks=[mark for mark in marks if mark is not None],
                    ),
                }
            )
    return figures


def _lines(table: pd.DataFrame) -> tuple[list[int], dict[str, list[list[float]]]]:
    """Return the epochs, and per metric, in order of first appearance, a line per fit."""
    wide = table.pivot(index="epoch", columns=["metric", "fit"], values="value").astype(float)
    return wide.index.tolist(), {
        metric: [wide[metric, fit].tolist() for fit in wide[metric]]
        for metric in dict.fromkeys(table["metric"])
    }


def _similarity_figures(similarity: NearestTrainSimilarity) -> list[tuple[str, str, Markup]]:
    return [
        (
            f"Nearest {kind} in train",
            found.measure,
            histogram(found.histogram.edges, found.histogram.pairs, x_title="similarity"),
        )
        for kind, found in (("drug", similarity.drug), ("target", similarity.target))
    ]


def _shares(counts: dict[str, int]) -> list[tuple[str, float, int]]:
    """Name, share of the largest, count; the largest first."""
    largest = max(counts.values(), default=1)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(words(name), count / largest, count) for name, count in ordered]


def _markdown(text: str) -> Markup:
    """Render Markdown without raw HTML; its headings go below those of the page."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
    html: str = parser.renderer.render(tokens, parser.options, {})
    html = html.replace("<table>", '<div class="scroll" tabindex="0"><table>')
    return Markup(html.replace("</table>", "</table></div>"))
