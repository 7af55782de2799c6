"""Standardised SMILES and sequences of the sample, to change."""

from __future__ import annotations

import numpy as np
import pandas as pd

from stages.dti.chemistry.standardise import standardise_smiles
from stages.dti.paths import ROOT, SAMPLE
from tests.support.prepared_tables import STANDARDISE

DRUGS = [
    standardise_smiles(smiles, STANDARDISE)
    for smiles in pd.read_csv(ROOT / SAMPLE / "drugs.csv")["smiles"].head(60)
]
SEQUENCES = pd.read_csv(ROOT / SAMPLE / "targets.csv")["sequence"].head(12).tolist()
CARBON_TETRACHLORIDE = "ClC(Cl)(Cl)Cl"


def random(seed: int = 0) -> np.random.Generator:
    """Return a generator of its own for each call."""
    return np.random.default_rng(seed)
