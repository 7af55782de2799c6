"""The pieces of a page: numbers as text, axes, interval and line charts, figures."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from stages.dti.errors import DataError
from stages.dti.reporting.charts import (
    Interval,
    axis,
    histogram,
    interval_chart,
    line_chart,
)
from stages.dti.reporting.html import embedded, interval, number, percent, render


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (5, "5"), (5000, "5\u202f000"), (0.12345, "0.123"), (2.0, "2")],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (None, "–"),
        (0.1684, "16.8\u202f%"),
        (0.0, "0\u202f%"),
        (1.0, "100\u202f%"),
        (0.99999, "99.9\u202f%"),
    ],
)
def test_percentages_do_not_round_up_to_all(fraction: float | None, text: str) -> None:
    assert percent(fraction) == text


def test_intervals() -> None:
    assert interval(None, None, None) == "–"
    assert interval(0.85, None, None) == "0.850"
    assert interval(0.85, 0.8, 0.9) == "0.850 (0.800–0.900)"
    assert interval(0.01, -0.02, 0.04, signed=True) == "+0.010 (−0.020 to +0.040)"


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.776, 0.91, [0.75, 0.8, 0.85, 0.9, 0.95]),
        (0, 1, [0.0, 0.25, 0.5, 0.75, 1.0]),
        (-0.116, 0.354, [-0.2, 0.0, 0.2, 0.4]),
        (0, 7, [0, 2, 4, 6, 8]),
        (3.0, 3.0, [2.6, 2.8, 3.0, 3.2, 3.4]),
    ],
)
def test_an_axis_is_round_and_encloses_its_values(
    low: float, high: float, ticks: list[float]
) -> None:
    found = axis(low, high)
    assert found == pytest.approx(ticks)
    assert found[0] <= low
    assert found[-1] >= high


def test_intervals_are_placed_by_value() -> None:
    chart = interval_chart(
        "AUROC",
        [
            Interval("a", 0.5, 0.25, 1.0, reference=0.0),
            Interval("b", None, None, None),
            Interval("c", 0.75, None, None),
        ],
    )
    assert [tick.text for tick in chart.ticks] == ["0", "0.25", "0.5", "0.75", "1"]
    first, undefined, last = chart.rows
    assert (first.low, first.value, first.high, first.reference) == (25, 50, 100, 0)
    assert (undefined.value, undefined.text) == (None, "–")
    assert (last.value, last.low) == (75, None)


def drawn_lines(svg: str) -> list[tuple[str, str, int]]:
    """Name, number of the colour, and number of points of each unbroken line."""
    line = r'<g><title>([^<]+)</title><path d="([^"]+)" style="[^"]*stroke: var\(--series-(\d)\)'
    found = re.findall(line, svg)
    return [
        (name, colour, run.count("L") + 1)
        for name, path, colour in found
        for run in path.split("M")[1:]
        if "L" in run
    ]


def test_a_line_chart_has_a_line_per_series_and_gaps_where_nothing_was_measured() -> None:
    nan = float("nan")
    svg = line_chart(
        [0, 1, 2, 3],
        {"train <loss>": [[1.0, 0.5, 0.25, 0.1]], "val": [[1.0, nan, 0.5, 0.4]]},
        x_title="epoch",
        marks=[2],
    )
    assert drawn_lines(svg) == [
        ("train &lt;loss&gt;", "1", 4),
        ("val", "2", 2),
        ("val", "2", 2),  # one epoch: a dot
    ]
    assert svg.count("stroke-dasharray") == 1
    assert 'aria-label="train &lt;loss&gt;, val"' in svg


def test_lines_of_one_name_are_drawn_alike() -> None:
    svg = line_chart(
        [0, 1], {"train": [[1, 2], [2, 3]], "val": [[3, 4]]}, x_title="epoch", marks=[0, 1]
    )
    assert [colour for _, colour, _ in drawn_lines(svg)] == ["1", "1", "2"]
    assert svg.count("stroke-dasharray") == 2


def test_a_single_epoch_is_drawn() -> None:
    svg = line_chart([0], {"loss": [[0.5]]}, x_title="epoch")
    assert drawn_lines(svg) == [("loss", "1", 2)]
    assert "nan" not in svg


def test_a_histogram_has_a_bar_per_filled_bin() -> None:
    svg = histogram([0.0, 0.5, 1.0], [0, 12], x_title="similarity")
    assert svg.count("fill: var(--series-1)") == 1
    assert "<title>0.5 to 1: 12</title>" in svg
    assert "var(--series" not in histogram([0.0, 1.0], [0], x_title="similarity")


def test_plots_follow_the_page_and_can_stand_in_it_more_than_once() -> None:
    """No colour or font of their own, no id, and no style that would reach the rest of the page."""
    once, again = (
        (
            line_chart([0, 1], {"loss": [[2.0, 1.0]]}, x_title="epoch", marks=[1]),
            histogram([0.0, 0.5, 1.0], [3, 12], x_title="similarity"),
        )
        for _ in range(2)
    )
    assert once == again
    for svg in once:
        assert re.search(r"#[0-9a-f]{3,6}\b|rgb|font-family| id=|<style|<metadata", svg) is None


def test_images_are_embedded(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_bytes(b"<svg/>")
    assert embedded(path) == "data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode()
    with pytest.raises(DataError, match=r"a\.gif"):
        embedded(tmp_path / "a.gif")


def test_a_value_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="validation"):
        render("validation.html", contents=[], suites=[])
