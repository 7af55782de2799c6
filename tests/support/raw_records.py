"""Raw records of three sources, and how they are prepared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stages.dti.config.dataset import DatasetConfig, LabelRule
from stages.dti.config.prepare import PrepareConfig
from stages.dti.data.preparation.records import Prepared, prepare_records
from stages.dti.data.sources.formats import RECORD_COLUMNS
from tests.support.prepared_tables import STANDARDISE
from tests.support.raw_files import ASPIRIN, CAFFEINE, UBIQUITIN

ASPIRIN_SALT = "[Na+].CC(=O)Oc1ccccc1C([O-])=O"


KD = LabelRule(
    rule="threshold",
    unit="nM",
    stronger="lower",
    positive_threshold=100,
    negative_threshold=10000,
    inclusive=False,
)
KIBA = LabelRule(
    rule="threshold",
    unit="KIBA score",
    stronger="higher",
    positive_threshold=12.1,
    negative_threshold=12.1,
)
SOURCES: dict[str, Any] = {
    "kd": {"files": {"pairs": {"url": "a"}}, "columns": {"affinity": "Kd"}, "label": KD},
    "kiba": {"files": {"pairs": {"url": "b"}}, "columns": {"affinity": "y"}, "label": KIBA},
    "given": {
        "files": {"pairs": {"url": "c"}},
        "columns": {"label": "y"},
        "label": {"rule": "given"},
    },
}
DATASET = DatasetConfig.model_validate(
    {"sources": {name: {"format": "pairs", **source} for name, source in SOURCES.items()}}
)
CONFIG = PrepareConfig(on_affinity_conflict="median", on_label_conflict="majority")


def records(*rows: dict[str, Any]) -> pd.DataFrame:
    """Raw records; what a row does not say is as in a plain row of the source ``given``."""
    table = []
    for number, row in enumerate(rows, start=1):
        full: dict[str, Any] = dict.fromkeys(RECORD_COLUMNS)
        full |= {"source": "given", "file": "pairs.csv", "source_row": number, "relation": "="}
        full |= {"smiles": ASPIRIN, "sequence": UBIQUITIN, "affinity": np.nan, "label": np.nan}
        table.append(full | row)
    return pd.DataFrame(table, columns=list(RECORD_COLUMNS)).astype(
        {"affinity": float, "label": float}
    )


def prepare(*rows: dict[str, Any], **changes: Any) -> Prepared:
    config = CONFIG.model_copy(update=changes)
    prepared = prepare_records(records(*rows), DATASET, config, STANDARDISE)
    merged = int(prepared.interactions["source_rows"].sum())
    assert merged + len(prepared.rejected) == len(rows)
    return prepared


def given(label: float, **row: Any) -> dict[str, Any]:
    return {"label": float(label), **row}


def kd(value: float, relation: str = "=", **row: Any) -> dict[str, Any]:
    return {"source": "kd", "affinity": value, "relation": relation, **row}


OTHER = given(0, smiles=CAFFEINE)
"""A row that stays, beside rows that are refused."""
