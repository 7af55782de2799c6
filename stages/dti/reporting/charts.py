"""Charts without a plotting library: small enough to stand in a page, sharp, light and dark.

Colours are the page style's, so a chart follows the reader's colour scheme and the printer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from stages.dti.reporting.html import interval, number

_WIDTH, _HEIGHT = 300, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 12, 32


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

    Coordinates are rounded, so that equal data give equal bytes.

    Args:
        series: up to five names, each with its lines, which are drawn alike.
        marks: where vertical lines are drawn.
    """
    values = {name: np.asarray(lines, dtype=np.float64) for name, lines in series.items()}
    finite = np.concatenate([lines[np.isfinite(lines)] for lines in values.values()])
    y_ticks = axis(float(finite.min()), float(finite.max())) if finite.size else [0.0, 1.0]
    x_low, x_high = float(min(x)), float(max(x))
    if x_low == x_high:
        x_low, x_high = x_low - 0.5, x_high + 0.5

    def across(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - x_low) / (x_high - x_low)

    def down(value: float) -> float:
        share = (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

    ends = (x_low, x_high) if min(x) != max(x) else (float(min(x)),)
    parts = _y_grid(y_ticks, down) + _x_labels(ends, across, x_title)
    for mark in marks:
        place = f"{across(mark):.1f}"
        parts.append(
            f'<line class="mark" x1="{place}" x2="{place}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
        )
    for position, lines in enumerate(values.values(), start=1):
        for line in lines:
            for run in _runs(line):
                places = [f"{across(x[index]):.1f},{down(line[index]):.1f}" for index in run]
                # A polyline of one point draws nothing: its round cap needs a second, equal one.
                points = " ".join(places * 2 if len(places) == 1 else places)
                parts.append(f'<polyline class="line s{position}" points="{points}"/>')
    return _svg(parts, ", ".join(values))


def histogram(edges: Sequence[float], counts: Sequence[int], *, x_title: str) -> Markup:
    """Return an inline SVG of one bar per bin; ``edges`` has one value more than ``counts``."""
    y_ticks = axis(0, max(*counts, 1))
    low, high = edges[0], edges[-1]

    def across(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low)

    def down(value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / y_ticks[-1]

    parts = _y_grid(y_ticks, down)
    for start, end, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count:
            x, y = across(start), down(count)
            parts.append(
                f'<rect x="{x + 0.5:.1f}" y="{y:.1f}" width="{across(end) - x - 1:.1f}" '
                f'height="{_HEIGHT - _BOTTOM - y:.1f}"><title>{start:g} to {end:g}: '
                f"{number(count)}</title></rect>"
            )
    return _svg(parts + _x_labels((low, high), across, x_title), x_title)


def axis(low: float, high: float) -> list[float]:
    """Return two to six round, evenly spaced values whose first and last enclose the range."""
    if not low < high:
        pad = abs(low) * 0.1 or 0.5
        low, high = low - pad, high + pad
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _y_grid(ticks: Sequence[float], down: Callable[[float], float]) -> list[str]:
    return [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" '
        f'y1="{down(tick):.1f}" y2="{down(tick):.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{down(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick in ticks
    ]


def _x_labels(ends: Sequence[float], across: Callable[[float], float], title: str) -> list[str]:
    """The axis title between its first and last value, or the one value beside it."""
    anchors = ("start", "end") if len(ends) > 1 else ("middle",)
    y = _HEIGHT - 10
    labels = [
        f'<text x="{across(end):.1f}" y="{y}" text-anchor="{anchor}">{end:g}</text>'
        for end, anchor in zip(ends, anchors, strict=True)
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2 if len(ends) > 1 else _WIDTH - _RIGHT
    anchor = "middle" if len(ends) > 1 else "end"
    return [
        *labels,
        f'<text x="{middle:.1f}" y="{y}" text-anchor="{anchor}">{escape(title)}</text>',
    ]


def _svg(parts: Sequence[str], label: str) -> Markup:
    """``parts`` hold numbers and escaped text only."""
    return Markup(
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )


def _runs(line: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """Indices of the unbroken stretches of finite values."""
    finite = np.flatnonzero(np.isfinite(line))
    stretches = np.split(finite, np.flatnonzero(np.diff(finite) > 1) + 1)
    return [stretch for stretch in stretches if stretch.size]
