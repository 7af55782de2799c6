"""Stage `prepare`: from raw files to unique drugs, targets and labelled pairs.

Reads: `data/raw/`; the sections `dataset` (forms, columns, label rules), `standardise` (what
becomes of a SMILES, limits of size) and `prepare` (what to do with conflicts).

Writes:

- `data/interim/drugs.parquet`, one row per canonical SMILES, in order of first appearance:
  drug_key (D + 16 hex digits), drug_id (the source's first, else the key; where that id stands for
  several drugs, id ~ key), drug_name (null if unknown), smiles, heavy_atoms (int32)
- `data/interim/targets.parquet`, one row per sequence, likewise: target_key (T + 16 hex digits),
  target_id, sequence, residues (int32), target_name, organism, target_class (null if unknown)
- `data/interim/interactions.parquet`, one row per pair: drug_key, target_key, label (int8: 1
  interacts, 0 does not), affinity (float64, null if none), affinity_relation (`=`, or a bound),
  affinity_unit, source (several joined by `+`), source_rows (int32: raw rows merged into it),
  published_split (`train`, `val`, `test`, null if none; several joined by `+`: `test+train` is a
  pair that the source put into both, which the `published` split judges)
- `data/interim/rejected.parquet`, every refused raw row: source, file, source_row (int64, from 1),
  drug_id, target_id, smiles, sequence, affinity_text, label_text, reason (a code of
  `prepare_records`), detail
- `reports/prepare_metrics.json`: counts; rows_read = rows_rejected + rows_merged + pairs
"""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
import pyarrow as pa

from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.prepare import PrepareConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.data.preparation.records import prepare_records
from stages.dti.data.sources.formats import read_records
from stages.dti.files import write_file
from stages.dti.paths import DRUGS, INTERACTIONS, PREPARE_METRICS, RAW, REJECTED, TARGETS, Paths
from stages.dti.runtime.stage import main

logger = logging.getLogger(__name__)

TEXT = pa.string()

DRUG_SCHEMA = {
    "drug_key": TEXT,
    "drug_id": TEXT,
    "drug_name": TEXT,
    "smiles": TEXT,
    "heavy_atoms": pa.int32(),
}
TARGET_SCHEMA = {
    "target_key": TEXT,
    "target_id": TEXT,
    "sequence": TEXT,
    "residues": pa.int32(),
    "target_name": TEXT,
    "organism": TEXT,
    "target_class": TEXT,
}
INTERACTION_SCHEMA = {
    "drug_key": TEXT,
    "target_key": TEXT,
    "label": pa.int8(),
    "affinity": pa.float64(),
    "affinity_relation": TEXT,
    "affinity_unit": TEXT,
    "source": TEXT,
    "source_rows": pa.int32(),
    "published_split": TEXT,
}
REJECTED_SCHEMA = {
    "source": TEXT,
    "file": TEXT,
    "source_row": pa.int64(),
    "drug_id": TEXT,
    "target_id": TEXT,
    "smiles": TEXT,
    "sequence": TEXT,
    "affinity_text": TEXT,
    "label_text": TEXT,
    "reason": TEXT,
    "detail": TEXT,
}


def run(
    paths: Paths,
    *,
    dataset: DatasetConfig,
    prepare: PrepareConfig,
    standardise: StandardiseConfig,
) -> None:
    """Prepare the acquired sources."""
    records = read_records(dataset, paths.read(RAW))
    prepared = prepare_records(records, dataset, prepare, standardise, progress=True)
    _write(prepared.drugs, paths.write(DRUGS), DRUG_SCHEMA)
    _write(prepared.targets, paths.write(TARGETS), TARGET_SCHEMA)
    _write(prepared.interactions, paths.write(INTERACTIONS), INTERACTION_SCHEMA)
    _write(prepared.rejected, paths.write(REJECTED), REJECTED_SCHEMA)
    prepared.metrics.write(paths.write(PREPARE_METRICS))
    found = prepared.metrics
    logger.info(
        "%(rows_read)d rows: %(pairs)d pairs of %(drugs)d drugs and %(targets)d targets, "
        "%(positives)d positive; %(rows_merged)d rows merged, %(rows_rejected)d rejected",
        found.plain(),
    )
    ambiguous = {"drug": found.drug_ids_of_several, "target": found.target_ids_of_several}
    for kind, count in ambiguous.items():
        if count:
            logger.warning(
                "%d %s ids stand for several %ss; each was given the id and its key as its own "
                "id, such as ID~%s…",
                count,
                kind,
                kind,
                kind[0].upper(),
            )


def _write(table: pd.DataFrame, path: Path, schema: dict[str, pa.DataType]) -> None:
    """Write the columns of ``schema``; an all-null text column stays text."""
    with write_file(path) as temporary:
        table[list(schema)].to_parquet(temporary, index=False, schema=pa.schema(schema.items()))


if __name__ == "__main__":
    main(run)
