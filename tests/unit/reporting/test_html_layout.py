"""Pages on a narrow screen and on paper: nothing is cut, wide tables scroll under their names."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.reported_results import report
from tests.support.screened_model import screening_page_of

WIDTH = 400

MEASURE = """
const page = document.getElementById("page").contentDocument;
const cut = [...page.querySelectorAll("body *")].filter(element =>
  element.getBoundingClientRect().right > WIDTH + 1 && !element.parentElement.closest(".scroll"));
const wide = [...page.querySelectorAll(".scroll")].filter(box => box.scrollWidth > box.clientWidth);
const moved = wide.filter(box => {
  box.scrollLeft = 60;
  const left = box.getBoundingClientRect().left;
  return [...box.querySelectorAll(":scope > table > * > tr")].some(row =>
    Math.abs(row.firstElementChild.getBoundingClientRect().left - left) > 1);
});
document.getElementById("found").textContent = JSON.stringify({
  page: page.documentElement.scrollWidth, cut: cut.map(element => element.outerHTML.slice(0, 80)),
  wide: wide.length, moved: moved.map(box => box.textContent.trim().slice(0, 40)),
});
"""


@pytest.fixture(scope="module")
def pages(results: Path, screen_outputs: Path) -> dict[str, str]:
    return {
        "report": report(results),
        "screening": screening_page_of(screen_outputs),
    }


def in_frame(page: str, folder: Path) -> dict[str, Any]:
    """Lay the page out in a frame of 400 pixels, which no window can be, and measure it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser")
    (folder / "frame.html").write_text(
        f'<!doctype html><iframe id="page" style="width:{WIDTH}px;height:900px;border:0" '
        f'srcdoc="{html.escape(page)}"></iframe><pre id="found"></pre><script>'
        f'document.getElementById("page").addEventListener("load", () => {{'
        f"{MEASURE.replace('WIDTH', str(WIDTH))}}});</script>",
        encoding="utf-8",
    )
    shown = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            "--hide-scrollbars", "--virtual-time-budget=20000",
            f"--user-data-dir={folder / 'browser'}",
            (folder / "frame.html").as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=300,
    ).stdout  # fmt: skip
    match = re.search(r'<pre id="found">(.+?)</pre>', shown, re.DOTALL)
    assert match is not None, shown[-1000:]
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["report", "screening"])
def test_at_400_pixels_nothing_is_cut_and_the_first_column_stays(
    pages: dict[str, str], tmp_path: Path, name: str
) -> None:
    found = in_frame(pages[name], tmp_path)
    assert found["page"] <= WIDTH
    assert found["cut"] == []
    assert found["wide"] > 0
    assert found["moved"] == []


@pytest.mark.parametrize("name", ["report", "screening"])
def test_every_table_scrolls_by_itself_and_by_keyboard(pages: dict[str, str], name: str) -> None:
    page = pages[name]
    assert page.count("<table") == page.count('<div class="scroll" tabindex="0"><table') > 0


def test_the_first_column_names_the_drug(pages: dict[str, str]) -> None:
    rows = re.findall(r"<tr><th scope=\"row\"><a href=\"#drug-\d+\">", pages["screening"])
    assert len(rows) == pages["screening"].count("<tr>") - pages["screening"].count("<thead><tr>")


@pytest.mark.parametrize("name", ["report", "screening"])
def test_figures_are_there_when_it_is_printed(pages: dict[str, str], name: str) -> None:
    """A figure that waits until it is scrolled to never comes on paper."""
    assert "<img" in pages[name]
    assert "loading=" not in pages[name]
