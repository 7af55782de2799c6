"""Charts that stand in a page, light and dark: intervals laid out by its style, plots as SVG.

Plots are drawn by matplotlib, in colours that are the page style's variables, so that a plot
follows the reader's colour scheme and the printer; its texts stay text, in the page's font. Equal
data give equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from stages.dti.reporting.html import interval, number

_INCHES = (3.125, 2.083)  # 300 x 200 pixels of a page
_LOOK: dict[Any, Any] = {
    "axes.autolimit_mode": "round_numbers",  # the first and last tick enclose the values
    "axes.xmargin": 0,
    "axes.ymargin": 0,
    "font.size": 9.5,
    "path.simplify": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "page",
}
# Stand-ins, since matplotlib knows no variables of CSS.
_SERIES = {f"#00000{position}": f"var(--series-{position})" for position in range(1, 6)}
_MUTED, _LINE = "#00000a", "#00000b"
_VARIABLES = _SERIES | {_MUTED: "var(--muted)", _LINE: "var(--line)"}


@dataclass(frozen=True)
class Interval:
    """A value with its interval, ``None`` where undefined; ``emphasis`` marks the main row."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    emphasis: bool = False
    reference: float | None = None


@dataclass(frozen=True)
class Tick:
    """A place on an axis: ``position`` in percent of its length."""

    position: float
    text: str


@dataclass(frozen=True)
class IntervalRow:
    """One drawn interval; ``value``, ``low``, ``high``, ``reference`` in percent of the axis."""

    name: str
    note: str
    emphasis: bool
    value: float | None
    low: float | None
    high: float | None
    reference: float | None
    text: str


@dataclass(frozen=True)
class IntervalChart:
    """Rows of intervals over one axis, for the macro ``intervals``."""

    title: str
    rows: list[IntervalRow]
    ticks: list[Tick]
    label_width: str
    signed: bool


def interval_chart(
    title: str,
    intervals: Sequence[Interval],
    label_width: str = "10rem",
    *,
    signed: bool = False,
) -> IntervalChart:
    """Lay intervals out over an axis that holds them all.

    Args:
        title: of the axis.
        label_width: of the names; a CSS length.
        signed: the values are differences, shown with their sign.
    """
    drawn = [
        place
        for row in intervals
        for place in (row.value, row.low, row.high, row.reference)
        if place is not None
    ]
    ticks = axis(min(drawn, default=0.0), max(drawn, default=1.0))
    low, high = ticks[0], ticks[-1]

    def position(value: float | None) -> float | None:
        return None if value is None else 100 * (value - low) / (high - low)

    rows = [
        IntervalRow(
            name=row.name,
            note=row.note,
            emphasis=row.emphasis,
            value=position(row.value),
            low=position(row.low if row.high is not None else None),
            high=position(row.high),
            reference=position(row.reference),
            text=interval(row.value, row.low, row.high, signed=signed),
        )
        for row in intervals
    ]
    marks = [
        Tick(100 * (tick - low) / (high - low), f"{tick:g}".replace("-", "\N{MINUS SIGN}"))
        for tick in ticks
    ]
    return IntervalChart(
        title=title, rows=rows, ticks=marks, label_width=label_width, signed=signed
    )


def line_chart(
    x: Sequence[float],
    series: Mapping[str, Sequence[Sequence[float]]],
    *,
    x_title: str,
    marks: Iterable[float] = (),
) -> Markup:
    """Return an inline SVG of lines over ``x``; NaN leaves a gap.

    Args:
        series: up to five names, each with its lines, which are drawn alike.
        marks: where vertical lines are drawn.
    """
    with rc_context(_LOOK):
        figure, axes = _axes(x_title)
        for mark in marks:
            axes.axvline(mark, color=_MUTED, linestyle=(0, (3, 3)), linewidth=0.75, clip_on=False)
        for colour, (name, lines) in zip(_SERIES, series.items(), strict=False):
            for line in lines:
                values = np.asarray(line, dtype=np.float64)
                axes.plot(x, values, color=colour, linewidth=1.5, clip_on=False, gid=name)
                # A line of one point draws nothing: its round end needs a second, equal one.
                for index in np.flatnonzero(_alone(values)).tolist():
                    axes.plot(
                        [x[index]] * 2,
                        [values[index]] * 2,
                        color=colour,
                        linewidth=2,
                        solid_capstyle="round",
                        clip_on=False,
                        gid=name,
                    )
        ends = sorted({min(x), max(x)})
        axes.set_xticks(ends)
        axes.set_xlim(*(ends if len(ends) > 1 else (ends[0] - 0.5, ends[0] + 0.5)))
        return _inline(figure, ", ".join(series))


def histogram(edges: Sequence[float], counts: Sequence[int], *, x_title: str) -> Markup:
    """Return an inline SVG of one bar per filled bin, its range and count as its title.

    ``edges`` has one value more than ``counts``.
    """
    with rc_context(_LOOK):
        figure, axes = _axes(x_title)
        colour = next(iter(_SERIES))
        for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True):
            if count:
                title = f"{start:g} to {end:g}: {number(count)}"
                width = 0.9 * (end - start)
                axes.bar((start + end) / 2, count, width, color=colour, clip_on=False, gid=title)
        axes.set_xticks([edges[0], edges[-1]])
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, axis(0, max(*counts, 1))[-1])
        return _inline(figure, x_title)


def axis(low: float, high: float) -> list[float]:
    """Return a few round, evenly spaced values whose first and last enclose the range."""
    if not low < high:
        pad = abs(low) * 0.1 or 0.5
        low, high = low - pad, high + pad
    return [round(float(tick), 12) for tick in _ticks().tick_values(low, high)]


def _ticks() -> MaxNLocator:
    return MaxNLocator(4, steps=[1, 2, 2.5, 5, 10])


def _alone(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a value has no neighbour."""
    there = np.pad(np.isfinite(values), 1)
    alone: NDArray[np.bool_] = there[1:-1] & ~there[:-2] & ~there[2:]
    return alone


def _axes(x_title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_INCHES, layout="constrained", frameon=False)
    axes = figure.subplots()
    axes.patch.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_LINE, linewidth=0.75, clip_on=False)
    axes.tick_params(bottom=False, left=False, labelcolor=_MUTED)
    axes.yaxis.set_major_locator(_ticks())
    for of_axis in (axes.xaxis, axes.yaxis):
        of_axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(x_title, color=_MUTED, labelpad=-9)  # between its ends
    return figure, axes


def _inline(figure: Figure, label: str) -> Markup:
    """Return the figure as SVG that can stand several times in one page: without ids or styles."""
    buffer = StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    box = re.search(r'viewBox="[^"]*"', drawn)
    assert box is not None
    body = drawn[drawn.index(">", box.end()) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r'<g id="[\w.]+_\d+">', "<g>", body)  # named by matplotlib
    body = re.sub(r'<g id="([^"]*)">', r"<g><title>\1</title>", body)  # named here
    body = re.sub(r" font-family: [^;]*;", "", body)
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, variable)
    opening = f'<svg {box.group()} role="img" aria-label="{escape(label)}">'
    return Markup(opening + re.sub(r"\n\s*", "", body))
