"""The comment on a pull request: a checkout's results beside those of the commit it starts from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stages.dti.evaluation.metrics import interval_text
from stages.dti.paths import INTERACTIONS, SPLITS
from stages.dti.reporting.changes import (
    Change,
    Results,
    differences,
)

LIMIT = 65_536
"""What a comment may hold at most; it is kept in bytes, so that it is kept in characters too."""

ROWS_SHOWN = 20
"""Parameters that are not folded away."""

CELL = 100
"""Characters of a table's cell at most; a value may be any text."""

NOTHING = "–"

TITLES = {"auroc": "AUROC", "auprc": "AUPRC"}


def comparable(old: Results, new: Results) -> bool:
    """Whether both were tested on the same pairs with the same labels."""
    return all(
        old.hashes.get(path.as_posix()) == new.hashes.get(path.as_posix())
        for path in (SPLITS, INTERACTIONS)
    )


def movement(figure: str, old: Results, new: Results) -> str:
    """Say whether a metric, on the same test pairs, left the interval that it had before."""
    before, after = old.summary[figure], new.summary[figure]
    if before[figure] is None or after[figure] is None or None in (before["low"], before["high"]):
        return "not comparable: no interval"
    if after[figure] > before["high"]:
        return "improved"
    if after[figure] < before["low"]:
        return "regressed"
    return "unchanged" if after[figure] == before[figure] else "no clear change"


def headline(old: Results, new: Results) -> str:
    """Say in one line what changed and whether it is a regression."""
    gate = new.summary["gate"]["gate"]
    if not old.summary:
        return f"No summary to compare with in the base; the gate says: {gate}"
    was = old.summary["gate"]["gate"]
    verdict = (
        f"the gate's verdict is {gate}, as before"
        if gate == was
        else (f"the gate's verdict changes from {was} to {gate}")
    )
    if not comparable(old, new):
        return f"Not comparable: other test pairs than in the base; {verdict}"
    moved = {figure: movement(figure, old, new) for figure in TITLES}
    if gate == "refused" != was:
        return f"Regression: {verdict}; {_in_words(old, new, moved)}"
    if "regressed" in moved.values():
        return f"Regression: {_in_words(old, new, moved)}; {verdict}"
    if "improved" in moved.values():
        return f"Improvement: {_in_words(old, new, moved)}; {verdict}"
    if old.summary == new.summary:
        return f"No figure changes; {verdict}"
    return f"No clear change: {_in_words(old, new, moved)}; {verdict}"


def _in_words(old: Results, new: Results, moved: dict[str, str]) -> str:
    clear = [figure for figure, words in moved.items() if words in ("improved", "regressed")]
    return ", ".join(
        f"{TITLES[figure]} {_number(old.summary[figure][figure])} → "
        f"{_number(new.summary[figure][figure])}"
        for figure in clear or ["auroc"]
    )


def comment(old: Results, new: Results, base: str, limit: int | None = LIMIT) -> str:
    """Return the comment in GitHub's Markdown.

    Args:
        limit: bytes of UTF-8 at most; ``None``: nothing is left out.
    """
    parts = [f"## {headline(old, new)}", ""]
    if old.summary and not comparable(old, new):
        parts += [
            "Data, labels or split differ, so that a difference of the metrics says nothing about "
            "the models. Compare each with its own baselines.",
            "",
        ]
    parts += [new.decision_summary, "", *_figures(old, new, base), ""]
    parameters = differences(old.parameters, new.parameters)
    metrics = differences(old.metrics, new.metrics)
    parts += _section("Parameters", parameters[: ROWS_SHOWN if limit else None], base)
    text = "\n".join(parts) + "\n"
    text += (
        "Plots of both runs, and this text in full, are attached to the workflow run that wrote "
        "this, as `pull_request`. Locally: "
        f"`dvc metrics diff {base[:12]}`, `dvc plots diff {base[:12]}`.\n"
    )
    folded = [
        (title, changes)
        for title, changes in (
            ("more changed parameters", parameters[ROWS_SHOWN:] if limit else []),
            ("changed results", metrics),
        )
        if changes
    ]
    for number, (title, changes) in enumerate(folded):
        room = None if limit is None else (limit - len(text.encode())) // (len(folded) - number)
        text += _folded(title, changes, base, room)
    return text


def _figures(old: Results, new: Results, base: str) -> list[str]:
    """Return the table of the summary, old beside new."""
    rows = [f"| | base `{base[:12]}` | this | |", "| --- | --- | --- | --- |"]
    same = bool(old.summary) and comparable(old, new)
    for figure, title in TITLES.items():
        words = movement(figure, old, new) if same else NOTHING
        rows.append(f"| {title} | {_measured(old, figure)} | {_measured(new, figure)} | {words} |")
    for figure, title in (("gate", "gate"), ("best", "strongest baseline"), ("quality", "quality")):
        cells = _measured(old, figure), _measured(new, figure)
        words = ("changed" if cells[0] != cells[1] else "unchanged") if old.summary else NOTHING
        rows.append(f"| {title} | {cells[0]} | {cells[1]} | {words} |")
    if same:
        rows += [
            "",
            "Improved or regressed: the new value lies outside the interval of the old one, on the "
            "same test pairs.",
        ]
    return rows


def _measured(results: Results, figure: str) -> str:
    """Return ``0.833 (0.778–0.885), drugban``."""
    entry = results.summary.get(figure)
    if entry is None:
        return NOTHING
    value = entry[figure] if figure in entry else entry["value"]
    if entry.get("low") is not None:
        value = interval_text(value, entry["low"], entry["high"], between="–")
    return f"{_number(value)}, {_cell(entry['name'])}"


def _number(value: Any) -> str:
    if value is None:
        return "undefined"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _section(title: str, changes: Sequence[Change], base: str) -> list[str]:
    if not changes:
        return [f"{title}: none changed.", ""]
    return [f"### {title}", "", *_table_head(base), *map(_row, changes), ""]


def _folded(title: str, changes: Sequence[Change], base: str, room: int | None) -> str:
    """Return a folded table, as many rows of it as ``room`` bytes hold."""
    head = f"\n<details><summary>{len(changes)} {title}</summary>\n\n"
    head += "\n".join(_table_head(base)) + "\n"
    tail = "\n</details>\n"

    def rest(left: int) -> str:
        return f"| … and {left} more, in the attached `full.md` | | |\n"

    rows: list[str] = []
    used = len((head + rest(len(changes)) + tail).encode())
    for change in changes:
        row = _row(change) + "\n"
        used += len(row.encode())
        if room is not None and used > room:
            rows.append(rest(len(changes) - len(rows)))
            break
        rows.append(row)
    return head + "".join(rows) + tail


def _table_head(base: str) -> list[str]:
    return [f"| | base `{base[:12]}` | this |", "| --- | --- | --- |"]


def _row(change: Change) -> str:
    return f"| {_cell(change.name)} | {_cell(change.old)} | {_cell(change.new)} |"


def _cell(value: Any) -> str:
    """Return any value as code in one cell: it can neither end the table nor mention anyone."""
    if value is None:
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split()).replace("`", "'")
    if len(text) > CELL:
        text = text[: CELL - 1] + "…"
    return f"`{text}`".replace("|", "\\|") if text else '`""`'
