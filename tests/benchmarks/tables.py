"""The case ``parity`` as a table to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_GRADIENTS = "gradients"


def parity_markdown(case: Mapping[str, Any]) -> str:
    """Return the differences as Markdown: a line per set of pairs and part, precisions beside."""
    rows = case["rows"]
    precisions = list(dict.fromkeys(row["precision"] for row in rows))
    lines: dict[tuple[str, int, str], dict[str, str]] = {}
    for row in rows:
        key = (row["pairs"], row["pair_count"], row["part"])
        lines.setdefault(key, {})[row["precision"]] = _cell(row)
    head = ["pairs", "n", "part", *precisions]
    table = [head, ["---"] * len(head)]
    for (pairs, count, part), cells in lines.items():
        named = [text.replace("_", " ") for text in (pairs, str(count), part)]
        table.append([*named, *(cells.get(precision, "") for precision in precisions)])
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    note = (
        "Of gradients: over the largest of the same parameter / of all parameters; cosine of all."
    )
    return f"# Parity\n\n{case['what']}.\n{note}\n\n{body}\n"


def _cell(row: Mapping[str, Any]) -> str:
    relative = f"{row['relative_difference']:.1e}"
    if row["part"] != _GRADIENTS:
        return relative
    return f"{relative} / {row['relative_to_largest_gradient']:.1e}; {row['cosine']:.4f}"
