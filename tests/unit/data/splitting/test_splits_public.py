"""All kinds of split on a large public data set (through DTI_MIRROR)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.dti.data.splitting.leakage import leakage_report
from stages.dti.data.splitting.splits import make_split
from tests.support.split_tables import KINDS, Tables, config, tables


@pytest.fixture(scope="module")
def kiba(mirror: Path) -> Tables:
    """KIBA: 118,000 pairs of 2,111 drugs and 229 targets, with DeepDTA's test fold."""
    folder = mirror / "hkmztrk/DeepDTA/master/data/kiba"
    smiles = list(json.loads((folder / "ligands_can.txt").read_text()).values())
    sequences = list(json.loads((folder / "proteins.txt").read_text()).values())
    scores = np.genfromtxt(folder / "kiba_binding_affinity_v2.txt", delimiter="\t")
    drug, target = np.nonzero(~np.isnan(scores))
    fold = np.zeros(len(drug), dtype=bool)
    fold[json.loads((folder / "folds/test_fold_setting1.txt").read_text())] = True
    pairs = pd.DataFrame(
        {
            "smiles": np.array(smiles, dtype=object)[drug],
            "sequence": np.array(sequences, dtype=object)[target],
            "label": scores[drug, target] >= 12.1,
            "published_split": np.where(fold, "test", "train"),
        }
    )
    return tables(pairs.drop_duplicates(["smiles", "sequence"]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_kiba_divides_in_every_way(kiba: Tables, kind: str) -> None:
    splits = kiba.interactions[["drug_key", "target_key"]].join(make_split(*kiba, config(kind)))
    report = leakage_report(splits, *kiba, config(kind)).plain()  # raises if a claim fails
    if kind != "published":
        used = sum(report["parts"][part]["pairs"] for part in ("train", "val", "test"))
        assert report["parts"]["test"]["pairs"] == pytest.approx(0.1 * used, rel=0.1)
        prevalence = kiba.interactions["label"].mean()
        assert report["parts"]["test"]["prevalence"] == pytest.approx(prevalence, rel=0.1)
