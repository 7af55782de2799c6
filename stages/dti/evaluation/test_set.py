"""The test pairs with their structures, on which ``evaluate`` measures and ``promote`` compares."""

from __future__ import annotations

import pandas as pd

from stages.dti.errors import DataError
from stages.dti.paths import DRUGS, INTERACTIONS, SPLITS, TARGETS, Paths


def read_test_pairs(paths: Paths) -> pd.DataFrame:
    """Return the test pairs in the split's order.

    Returns:
        Columns ``drug_key``, ``target_key``, ``label`` (int8), ``smiles``, ``sequence``.

    Raises:
        DataError: there are none, or the tables don't belong together.
    """
    splits = pd.read_parquet(paths.read(SPLITS))
    chosen = splits.loc[splits["split"] == "test", ["drug_key", "target_key"]]
    if chosen.empty:
        raise DataError(f"{SPLITS} has no test pairs; raise split.test_fraction")
    labels = pd.read_parquet(paths.read(INTERACTIONS), columns=["drug_key", "target_key", "label"])
    drugs = pd.read_parquet(paths.read(DRUGS), columns=["drug_key", "smiles"])
    targets = pd.read_parquet(paths.read(TARGETS), columns=["target_key", "sequence"])
    test = chosen.merge(labels).merge(drugs).merge(targets)
    if len(test) != len(chosen):
        raise DataError(
            f"{len(chosen)} test pairs in {SPLITS} match {len(test)} rows of {INTERACTIONS}, "
            f"{DRUGS} and {TARGETS}; run `dvc repro split`"
        )
    return test
