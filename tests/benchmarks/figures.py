"""Growth as PNG: time per unit of work and peak memory against the size, one figure per case.

The padded form and the published network are dashed, ours are not. Sizes and times are logarithmic,
so that a flat line is work that grows as the size does, and the distance of two lines their ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from stages.dti.reporting.figures import (
    BASELINE_COLOURS,
    BASELINE_DASHES,
    CANDIDATE_COLOUR,
    DOTS_PER_INCH,
    FAINT,
    INK,
    MARKERS,
)
from tests.benchmarks.measure import YARDSTICKS

OURS = (CANDIDATE_COLOUR, *BASELINE_COLOURS)


def save_figures(cases: Mapping[str, Any], folder: Path) -> None:
    """Write ``<case>.png`` below an existing ``folder`` for every case that has sizes."""
    with style.context("default"):
        for name, case in cases.items():
            if "axis" in case:
                path = folder / f"{name}.png"
                growth(name, case).savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})


def growth(name: str, case: Mapping[str, Any]) -> Figure:
    """Draw seconds per unit of work, and peak memory, against the case's size."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    axis, unit = case["axis"], case["unit"]
    variants = list(dict.fromkeys(row["variant"] for row in case["rows"]))
    ours = [variant for variant in variants if variant not in YARDSTICKS]
    for variant in variants:
        rows = [row for row in case["rows"] if row["variant"] == variant]
        look = _look(variant, ours)
        label = variant.replace("_", " ")
        sizes = [row[axis] for row in rows]
        low, median, high = (
            [row[key] / row["work"] for row in rows] for key in ("p10_s", "median_s", "p90_s")
        )
        time_axes.plot(sizes, median, label=label, **look)
        time_axes.fill_between(sizes, low, high, color=look["color"], alpha=0.15, linewidth=0)
        memory_axes.plot(sizes, [row["peak_memory_mib"] for row in rows], **look)
    one = unit.removesuffix("s")
    time_axes.set(ylabel=f"seconds per {one} (median, band: 10 to 90 %)")
    memory_axes.set(ylabel="peak memory of the process, MiB")
    for axes in (time_axes, memory_axes):
        _against(axes, sorted({row[axis] for row in case["rows"]}), axis)
    time_axes.set_yscale("log")
    low, high = time_axes.get_ylim()
    time_axes.set_ylim(min(low, high / 10), high)  # a decade at least has marks to read it by
    time_axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    time_axes.yaxis.set_minor_locator(NullLocator())
    time_axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.6g}"))
    memory_axes.set_ylim(0, 1.08 * max(row["peak_memory_mib"] for row in case["rows"]))
    figure.suptitle(name.replace("_", " "), fontsize=11, x=0.01, ha="left", color=INK)
    figure.legend(
        loc="outside lower center", ncols=min(4, len(variants)), frameon=False, fontsize=9,
        handlelength=3.5,
    )  # fmt: skip
    return figure


def _against(axes: Axes, sizes: list[float], axis: str) -> None:
    # 0 busy processes have no logarithm.
    axes.set_xscale("log" if sizes[0] > 0 else "linear")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(axis.replace("_", " "))
    axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, colors=INK)


def _look(variant: str, ours: list[str]) -> dict[str, Any]:
    if variant in YARDSTICKS:
        return {
            "color": INK,
            "linestyle": (0, BASELINE_DASHES[YARDSTICKS.index(variant)]),
            "linewidth": 1.4,
            "marker": MARKERS[0],
            "markersize": 4.5,
        }
    place = ours.index(variant)
    return {
        "color": OURS[place % len(OURS)],
        "linewidth": 2.4 if place == 0 else 1.6,
        "marker": MARKERS[(place + 1) % len(MARKERS)],
        "markersize": 5,
    }
