"""The evaluation as PNG: ROC, precision-recall, reliability, confusion, strata.

Equal data gives equal bytes: matplotlib's own defaults, no time or version in the files. The
candidate is drawn in one strong colour, baselines in muted ones, told apart by dashes too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.dti.artifacts.evaluation import Strata, Stratum
from stages.dti.artifacts.measured import Metric
from stages.dti.artifacts.metrics import Metrics, ModelMetrics
from stages.dti.errors import DataError
from stages.dti.evaluation.curves import NEGATIVE, POSITIVE
from stages.dti.evaluation.metrics import interval_text
from stages.dti.reporting.html import words

DOTS_PER_INCH = 130
CANDIDATE_COLOUR = "#0072B2"
# Muted, and apart in lightness too, for eyes that don't tell the hues apart.
BASELINE_COLOURS = ("#B8860B", "#7A8B99", "#B07AA1", "#8A9A5B", "#5D4E60", "#C9A28C")
BASELINE_DASHES = ((4, 2), (1, 1.5), (6, 1.5, 1, 1.5), (8, 3), (3, 1, 1, 1, 1, 1))
MARKERS = "osD^vP"
INK, FAINT = "#222222", "#9A9A9A"


@dataclass(frozen=True)
class Results:
    """All that is drawn; what the JSON and CSV reports hold.

    Attributes:
        names: model key → the name shown; the candidate is first.
        metrics: model key → its metrics.
        roc, precision_recall, reliability, confusion: as ``curves`` makes them.
        confidence: of the intervals.
    """

    names: dict[str, str]
    metrics: Mapping[str, ModelMetrics]
    roc: pd.DataFrame
    precision_recall: pd.DataFrame
    reliability: pd.DataFrame
    confusion: pd.DataFrame
    strata: Strata
    confidence: float


def results_to_draw(metrics: Metrics, strata: Strata, curves: Path, confidence: float) -> Results:
    """Collect what is drawn of the metrics, the strata and the curves.

    Models that were measured on a part of the test pairs only, the pretrained ones, are left out.

    Args:
        curves: the folder of ``{roc,precision_recall,reliability,confusion}.csv``.

    Raises:
        DataError: one of them is missing.
    """
    whole = {name: table for name, table in metrics.baselines.items() if table.pretrained is None}
    candidate = metrics.candidate
    names = {"candidate": f"{words(candidate.model)} (candidate)"}
    names |= {name: words(name) for name in whole}
    tables = {
        name: _read_curve(curves / f"{name}.csv")
        for name in ("roc", "precision_recall", "reliability", "confusion")
    }
    return Results(
        names=names,
        metrics={"candidate": candidate, **whole},
        strata=strata,
        confidence=confidence,
        **tables,
    )


def _read_curve(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{path} does not exist; run `dvc repro -f evaluate`, which makes it")
    return pd.read_csv(path, float_precision="round_trip", dtype={"model": str})


def save_figures(results: Results, folder: Path) -> None:
    """Write ``{roc,precision_recall,reliability,confusion,strata}.png`` into ``folder``."""
    drawings = {
        "roc": _draw_roc,
        "precision_recall": _draw_precision_recall,
        "reliability": _draw_reliability,
        "confusion": _draw_confusion,
        "strata": _draw_strata,
    }
    with style.context("default"):
        for name, draw in drawings.items():
            figure = draw(results)
            figure.savefig(folder / f"{name}.png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def _draw_roc(results: Results) -> Figure:
    figure, axes = _square("ROC", results)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, zorder=1)
    _draw_curves(axes, results, results.roc, "auroc")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    _legend(figure, axes, results, "AUROC")
    return figure


def _draw_precision_recall(results: Results) -> Figure:
    figure, axes = _square("Precision and recall", results)
    prevalence = next(iter(results.metrics.values())).prevalence
    assert prevalence is not None
    axes.axhline(prevalence, color=FAINT, linewidth=0.8, zorder=1)
    axes.annotate(
        "prevalence",
        (0.01, prevalence),
        (0, -9),
        textcoords="offset points",
        color=FAINT,
        fontsize=8,
        va="center",
    )
    _draw_curves(axes, results, results.precision_recall, "auprc")
    axes.set(xlabel="recall", ylabel="precision")
    _legend(figure, axes, results, "AUPRC")
    return figure


def _draw_curves(axes: Axes, results: Results, curve: pd.DataFrame, metric: Metric) -> None:
    columns = [column for column in curve.columns if column != "model"]
    for key in reversed(results.names):
        rows = curve[curve["model"] == key]
        label = _label(results, key, metric)
        axes.plot(rows[columns[0]], rows[columns[1]], label=label, **_line(results, key))
    if curve.empty:
        axes.text(0.5, 0.5, "undefined: the test pairs hold one class", ha="center", color=INK)


def _draw_reliability(results: Results) -> Figure:
    figure = Figure(figsize=(6, 7.8), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, zorder=1)
    for key in reversed(results.names):
        rows = results.reliability[results.reliability["model"] == key]
        axes.plot(
            rows["mean_probability"],
            rows["observed_fraction"],
            label=_label(results, key, "ece"),
            **_marker(results, key),
            **_line(results, key),
        )
    axes.set(ylabel="share of pairs that interact", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(_title("Reliability", results), fontsize=11, loc="left", color=INK)
    _legend(figure, axes, results, "expected calibration error")
    candidate = next(iter(results.names))
    rows = results.reliability[results.reliability["model"] == candidate]
    below.bar(
        rows["bin_low"],
        rows["n"],
        width=(rows["bin_high"] - rows["bin_low"]) * 0.94,
        align="edge",
        color=CANDIDATE_COLOUR,
        alpha=0.55,
    )
    below.set(xlabel="predicted probability", ylabel="pairs\n(candidate)")
    for part in (axes, below):
        _plain(part)
    return figure


def _draw_confusion(results: Results) -> Figure:
    candidate, name = next(iter(results.names.items()))
    classes = [NEGATIVE, POSITIVE]
    counted = pd.crosstab(results.confusion["actual"], results.confusion["predicted"])
    table = counted.reindex(index=classes, columns=classes, fill_value=0).to_numpy(np.int64)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(5.4, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(2):
        for column in range(2):
            axes.text(
                column,
                row,
                f"{table[row, column]:,}\n{share[row, column]:.1%} of row",
                ha="center",
                va="center",
                fontsize=12,
                color="white" if share[row, column] > 0.55 else INK,
            )
    axes.set_xticks([0, 1], classes)
    axes.set_yticks([0, 1], classes, rotation=90, va="center")
    axes.set(xlabel="predicted", ylabel="actual")
    threshold = results.metrics[candidate].threshold
    axes.set_title(f"{name} at threshold {threshold:.3f}", fontsize=11, loc="left", color=INK)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _draw_strata(results: Results) -> Figure:
    groups: tuple[tuple[str, Sequence[Stratum]], ...] = (
        ("by what was met in train", results.strata.seen),
        ("by similarity to the nearest train drug", results.strata.drug_similarity),
    )
    measures: tuple[tuple[Literal["auroc", "auprc"], str], ...] = (
        ("auroc", "chance"),
        ("auprc", "prevalence"),
    )
    heights = [len(strata) for _, strata in groups]
    figure = Figure(figsize=(9, 1.5 + 0.62 * sum(heights)), layout="constrained")
    grid = figure.subplots(2, 2, sharex="col", sharey="row", height_ratios=heights, squeeze=False)
    for row, (title, strata) in enumerate(groups):
        for column, (metric, grey) in enumerate(measures):
            axes = grid[row, column]
            _draw_forest(axes, results, strata, metric)
            if column == 0:
                axes.set_title(title, fontsize=10, loc="left", color=INK)
            if row == len(groups) - 1:
                axes.set_xlabel(
                    f"{metric.upper()}, {results.confidence:.0%} interval (grey: {grey})"
                )
    grid[0, 0].set_xlim(-0.02, 1.02)
    grid[0, 1].set_xlim(-0.02, 1.02)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(3, len(labels)),
        frameon=False,
        fontsize=9,
    )
    return figure


def _draw_forest(
    axes: Axes, results: Results, strata: Sequence[Stratum], metric: Literal["auroc", "auprc"]
) -> None:
    keys = list(results.names)
    step = 0.7 / len(keys)
    for position, key in enumerate(keys):
        offset = (position - (len(keys) - 1) / 2) * step
        points = [(stratum.models[key].of(metric), y + offset) for y, stratum in enumerate(strata)]
        colour = _colour(results, key)
        for point, height in points:
            if point.low is not None and point.high is not None:
                width = 2.4 if position == 0 else 1.3
                axes.hlines(height, point.low, point.high, linewidth=width, color=colour)
        axes.plot(
            [np.nan if point.value is None else point.value for point, _ in points],
            [height for _, height in points],
            linestyle="none",
            label=results.names[key],
            **_marker(results, key),
            color=colour,
        )
    for y, stratum in enumerate(strata):
        if stratum.reason is not None:
            axes.text(
                0.5,
                y,
                "too few pairs to measure" if stratum.n else "no pairs",
                ha="center",
                va="center",
                fontsize=8,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
            )
        elif metric == "auprc" and stratum.prevalence is not None:
            axes.vlines(stratum.prevalence, y - 0.42, y + 0.42, color=FAINT, linewidth=0.8)
        if y:
            axes.axhline(y - 0.5, color="#E5E5E5", linewidth=0.8)
    if metric == "auroc":
        axes.axvline(0.5, color=FAINT, linewidth=0.8, zorder=1)
    axes.set_ylim(len(strata) - 0.5, -0.5)
    axes.set_yticks(range(len(strata)), [_stratum_label(stratum) for stratum in strata], fontsize=9)
    _plain(axes)


def _stratum_label(stratum: Stratum) -> str:
    if stratum.prevalence is None:
        return f"{stratum.name}\nn = 0"
    return f"{stratum.name}\nn = {stratum.n:,}, {stratum.prevalence:.0%} interact"


def _square(what: str, results: Results) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6, 6.6), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set_title(_title(what, results), fontsize=11, loc="left", color=INK)
    _plain(axes)
    return figure, axes


def _title(what: str, results: Results) -> str:
    table = next(iter(results.metrics.values()))
    return f"{what}: {table.n:,} test pairs, {table.prevalence:.0%} interact"


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, colors=INK)


def _legend(figure: Figure, axes: Axes, results: Results, title: str) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles[::-1],
        labels[::-1],
        title=f"{title} ({results.confidence:.0%} interval)",
        loc="outside lower center",
        alignment="left",
        fontsize=9,
        title_fontsize=9,
        frameon=False,
        handlelength=3.5,
    )


def _label(results: Results, key: str, metric: Metric) -> str:
    measure = results.metrics[key].of(metric)
    return f"{results.names[key]}  {interval_text(measure.value, measure.low, measure.high)}"


def _colour(results: Results, key: str) -> str:
    place = list(results.names).index(key)
    return BASELINE_COLOURS[(place - 1) % len(BASELINE_COLOURS)] if place else CANDIDATE_COLOUR


def _line(results: Results, key: str) -> dict[str, Any]:
    place = list(results.names).index(key)
    if not place:
        return {"color": CANDIDATE_COLOUR, "linewidth": 2.4, "zorder": 3}
    dashes = BASELINE_DASHES[(place - 1) % len(BASELINE_DASHES)]
    return {"color": _colour(results, key), "linewidth": 1.4, "linestyle": (0, dashes), "zorder": 2}


def _marker(results: Results, key: str) -> dict[str, Any]:
    place = list(results.names).index(key)
    return {"marker": MARKERS[place % len(MARKERS)], "markersize": 4.5 if place else 6}
