"""Stage ``split``: divides the pairs into train, validation and test, and proves what it claims.

Reads section ``split`` and, from ``data/interim/``:

- ``interactions.parquet``: drug_key, target_key (str), label (int8, 0/1), published_split (str or
  None); one row per pair
- ``drugs.parquet``: drug_key, smiles (str)
- ``targets.parquet``: target_key, sequence (str)

Writes:

- ``data/processed/splits.parquet``: drug_key, target_key, split (str: ``train``, ``val``, ``test``,
  ``unused`` or ``adapt``), fold (int8: which of the folds of train and validation; -1 for the
  other pairs, and for those whose drug and target stand in two); the rows of
  ``interactions.parquet`` in the same order. Fold ``split.validation_fold`` is ``val``.
- ``reports/leakage.json``: counts per part, what the parts share, the similarity of each test
  pair to train, and every claim of the split's name with the number that was found

A split that is not what its name claims ends the stage with a LeakageError before either is
written.
"""

from __future__ import annotations

import logging

import pandas as pd

from stages.dti.config.split import SplitConfig
from stages.dti.data.splitting.leakage import leakage_report
from stages.dti.data.splitting.splits import make_split
from stages.dti.files import write_file
from stages.dti.paths import DRUGS, INTERACTIONS, LEAKAGE, SPLITS, TARGETS, Paths
from stages.dti.runtime.stage import main

logger = logging.getLogger(__name__)


def run(paths: Paths, *, split: SplitConfig) -> None:
    """Divide the pairs, check the division, write it with its report."""
    interactions = pd.read_parquet(paths.read(INTERACTIONS))
    drugs = pd.read_parquet(paths.read(DRUGS))
    targets = pd.read_parquet(paths.read(TARGETS))

    splits = interactions[["drug_key", "target_key"]].copy()
    splits[["split", "fold"]] = make_split(interactions, drugs, targets, split)
    report = leakage_report(splits, interactions, drugs, targets, split)

    with write_file(paths.write(SPLITS)) as path:
        splits.to_parquet(path, index=False)
    report.write(paths.write(LEAKAGE))
    for part, counts in report.parts.items():
        if counts.pairs:
            logger.info("%s: %d pairs, %d positives", part, counts.pairs, counts.positives)


if __name__ == "__main__":
    main(run)
