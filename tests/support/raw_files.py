"""Files below ``data/raw/``, as ``acquire`` leaves them, and their records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from stages.dti.config.base import build
from stages.dti.config.dataset import DatasetConfig
from stages.dti.data.sources.formats import read_records

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
CAFFEINE = "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
INSULIN_A = "GIVEQCCTSICSLYQLENYCN"
GIVEN = {"rule": "given"}
BELOW_100_NM = {
    "rule": "threshold",
    "unit": "nM",
    "stronger": "lower",
    "positive_threshold": 100,
    "negative_threshold": 10000,
}


def read(
    raw: Path, files: dict[str, str | bytes], suffix: str = ".csv", **source: Any
) -> pd.DataFrame:
    """Lay out ``data/raw`` as ``acquire`` does, and read it."""
    source.setdefault("format", "pairs")
    source.setdefault("label", GIVEN)
    source["files"] = {role: {"url": f"data/{role}{suffix}"} for role in files}
    dataset = build(DatasetConfig, {"sources": {"mine": source}}, "dataset")
    manifest = {}
    for role, content in files.items():
        path = raw / "mine" / f"{role}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        manifest[role] = {"file": f"mine/{role}{suffix}"}
    (raw / "manifest.json").write_text(json.dumps({"mine": manifest}), encoding="utf-8")
    return read_records(dataset, raw)


DUMP_HEADER = [
    "BindingDB Reactant_set_id",
    "Ligand SMILES",
    "BindingDB MonomerID",
    "BindingDB Ligand Name",
    "Target Name",
    "Target Source Organism According to Curator or DataSource",
    "Ki (nM)",
    "IC50 (nM)",
    "Kd (nM)",
    "EC50 (nM)",
    "Number of Protein Chains in Target (>1 implies a multichain complex)",
]

CHAIN = ["BindingDB Target Chain Sequence", "UniProt (SwissProt) Primary ID of Target Chain"]


def dump(*rows: list[str], chains: list[str] = CHAIN) -> str:
    return "".join("\t".join(row) + "\n" for row in [[*DUMP_HEADER, *chains], *rows])


def dump_row(
    ki: str = "", ic50: str = "", kd: str = "", ec50: str = "", chains: str = "1", last: Any = None
) -> list[str]:
    last = [UBIQUITIN, "P62979"] if last is None else last
    facts = ["1", ASPIRIN, "22360", "aspirin", '"Poly"ubiquitin', "Homo sapiens"]
    return [*facts, ki, ic50, kd, ec50, chains, *last]
