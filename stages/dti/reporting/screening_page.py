"""The readable page of a screen: the best drugs of the most promising targets, drawn."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

from stages.dti.artifacts.screening import ScreeningMetrics
from stages.dti.config.report import ReportConfig
from stages.dti.config.screen import ScreenConfig
from stages.dti.reporting.html import render

_DRAWING = (260, 180)
"""Width and height of a structure, in pixels."""

_CONTENTS = (
    ("summary", "Summary"),
    ("targets", "Best drugs by target"),
    ("structures", "Structures"),
    ("reading", "How to read it"),
)


@dataclass(frozen=True)
class Drawn:
    """A drug that is shown.

    Attributes:
        anchor: its place on the page.
        drawing: its structure as a data URI.
        targets: those in whose list it stands.
    """

    anchor: str
    name: str
    drug_id: str
    drawing: str
    targets: list[str]


def screening_page(
    ranking: pd.DataFrame, metrics: ScreeningMetrics, screen: ScreenConfig, report: ReportConfig
) -> str:
    """Return the whole page; each shown drug is drawn once, however many targets it is best for.

    Args:
        ranking: ``reports/screening/ranking.parquet``.
        metrics: what was screened.
    """
    best = ranking.groupby("target_id", sort=False)["probability"].max()
    chosen = list(
        best.sort_values(ascending=False, kind="stable").index[: report.screening_targets]
    )
    groups = {target: table for target, table in ranking.groupby("target_id") if target in chosen}
    shown = [(target, groups[target].head(report.screening_drugs)) for target in chosen]
    drugs: dict[str, Drawn] = {}
    targets = []
    for target, table in shown:
        rows: list[dict[Any, Any]] = table.to_dict("records")
        for row in rows:
            drug = drugs.setdefault(row["smiles"], _drawn(row, len(drugs) + 1))
            drug.targets.append(target)
            row["anchor"] = drug.anchor
        targets.append({"id": target, "name": rows[0]["target_name"], "rows": rows})
    return render(
        "screening.html",
        contents=_CONTENTS if len(ranking) else _CONTENTS[:1],
        library=screen.library,
        metrics=metrics,
        precision=screen.precision,
        top_k=screen.top_k,
        page_drugs=report.screening_drugs,
        targets=targets,
        drugs=list(drugs.values()),
    )


def _drawn(row: dict[Any, Any], number: int) -> Drawn:
    return Drawn(
        anchor=f"drug-{number}",
        name=row["drug_name"] if isinstance(row["drug_name"], str) else row["drug_id"],
        drug_id=row["drug_id"],
        drawing=structure(row["smiles"]),
        targets=[],
    )


def structure(smiles: str) -> str:
    """Draw a molecule; return the SVG as a data URI, the same bytes for equal SMILES."""
    drawer = rdMolDraw2D.MolDraw2DSVG(*_DRAWING)
    drawer.drawOptions().clearBackground = False
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, Chem.MolFromSmiles(smiles))
    drawer.FinishDrawing()
    svg = drawer.GetDrawingText().encode("utf-8")
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
