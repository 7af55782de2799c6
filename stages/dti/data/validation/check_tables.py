"""Three tables for the data checks, made from raw records: drugs, targets, interactions.

A property that Great Expectations cannot see for itself (does this SMILES parse, is this pair
given twice) becomes a column that holds ``"ok"`` or the reason why not, and no value where the
question does not arise. Each different SMILES and sequence is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from rdkit import rdBase

from stages.dti.chemistry.molecules import rdkit_failures
from stages.dti.chemistry.sequences import clean_sequence
from stages.dti.chemistry.standardise import parse_smiles
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.data.preparation.labels import label_affinities
from stages.dti.errors import InvalidInputError

OK = "ok"
FIRST = "first"

PLACE = ("source", "file", "source_row")
"""Columns that say where a row stands; rows are counted from 1."""

RELATIONS = ("=", "<", "<=", ">", ">=")
"""How an affinity may be given: exact, or bounded from one side."""


@dataclass(frozen=True)
class CheckTables:
    """What is checked; ``source``, ``file`` and ``source_row`` say where a row first appears.

    - ``drugs``: one row per different (drug_id, smiles); ``structure`` ok or why it does not
      parse, ``smiles_length`` in characters.
    - ``targets``: one row per different (target_id, sequence); ``residue_letters`` ok or which
      letters are none, ``residues`` the length.
    - ``interactions``: one row per record; ``identifiers``, ``structures``, ``measurement``,
      ``usable`` ok or the reason; ``relation``; ``pair`` first or which row it repeats;
      ``agreement`` ok or that the pair has the other label too; ``label`` 1, 0 or none. A row
      that its form rules out (a target of several chains) is only asked whether it is usable.
    """

    drugs: pd.DataFrame
    targets: pd.DataFrame
    interactions: pd.DataFrame


def make_tables(
    records: pd.DataFrame,
    dataset: DatasetConfig,
    standardise: StandardiseConfig,
) -> CheckTables:
    """Return the tables of raw records (columns: ``stages/dti/data/sources/formats.py``)."""
    records = records.reset_index(drop=True)
    for column in ("smiles", "sequence", "drug_id", "target_id"):
        records[column] = _given(records[column])
    structure = _looked_up(records["smiles"], lambda text: _smiles_problem(text, standardise))
    letters = _looked_up(records["sequence"], _letters_problem)
    residues = records["sequence"].str.len()

    drugs = records[[*PLACE, "drug_id", "smiles"]].assign(
        structure=structure, smiles_length=records["smiles"].str.len()
    )
    targets = records[[*PLACE, "target_id", "sequence"]].assign(
        residue_letters=letters, residues=residues
    )
    outside = ~residues.between(standardise.min_residues, standardise.max_residues)
    size = letters.mask(
        (letters == OK) & outside, residues.map("{:.0f} residues, outside the limits".format)
    )
    return CheckTables(
        drugs=drugs.drop_duplicates(["drug_id", "smiles"], ignore_index=True),
        targets=targets.drop_duplicates(["target_id", "sequence"], ignore_index=True),
        interactions=_interactions(records, dataset, structure, size),
    )


def _smiles_problem(smiles: str, config: StandardiseConfig) -> str | None:
    try:
        with rdBase.BlockLogs(), rdkit_failures():
            parse_smiles(smiles, config)
    except InvalidInputError as error:
        return str(error)
    return None


def _letters_problem(sequence: str) -> str | None:
    try:
        clean_sequence(sequence, min_residues=1, max_residues=len(sequence))
    except InvalidInputError as error:
        return str(error)
    return None


def _interactions(
    records: pd.DataFrame, dataset: DatasetConfig, structure: pd.Series, size: pd.Series
) -> pd.DataFrame:
    table = records[[*PLACE, "drug_id", "target_id", "relation"]].copy()
    table["label"] = _labels(records, dataset)
    table["identifiers"] = _identifiers(records, dataset)
    without = np.select(
        [
            records["smiles"].isna() & records["sequence"].isna(),
            records["smiles"].isna(),
            records["sequence"].isna(),
        ],
        ["no SMILES and no sequence", "no SMILES", "no sequence"],
        OK,
    )
    complete = pd.Series(without, index=records.index, dtype=object)
    measurement = _measurement(records, dataset)
    relation = ("relation " + table["relation"]).mask(table["relation"].isin(RELATIONS), OK)
    refusal = records["refusal"].fillna(OK)
    usable = refusal
    for following in (complete, structure, size, measurement, relation):
        usable = usable.mask((usable == OK) & (following != OK), following)
    table["usable"] = usable
    table["structures"] = complete.where(refusal == OK, None)
    table["measurement"] = measurement.where(refusal == OK, None)
    _compare_pairs(table, records)
    return table


def _labels(records: pd.DataFrame, dataset: DatasetConfig) -> pd.Series:
    """Label of each row by itself: as given, or by its source's threshold."""
    labels = records["label"].copy()
    for name, source in dataset.sources.items():
        if source.label.rule == "threshold":
            rows = records[
                (records["source"] == name)
                & records["affinity"].notna()
                & records["relation"].isin(RELATIONS)
                & records["refusal"].isna()
            ]
            labels[rows.index] = label_affinities(
                rows["affinity"].to_numpy(), rows["relation"].to_numpy(), source.label
            )
    return labels


def _identifiers(records: pd.DataFrame, dataset: DatasetConfig) -> pd.Series:
    """Identifiers are missed only where the source has them at all."""
    missing = pd.Series("", index=records.index)
    for column, word in (("drug_id", "no drug identifier"), ("target_id", "no target identifier")):
        absent = records[column].isna()
        named = (~absent).groupby(records["source"]).transform("any")
        missing = missing.mask(absent & named & (missing == ""), word)
    return missing.mask(missing == "", OK)


def _measurement(records: pd.DataFrame, dataset: DatasetConfig) -> pd.Series:
    """Is there a label 0 or 1, or a number, whichever the source's label rule needs."""
    given = records["source"].map(
        {name: source.label.rule == "given" for name, source in dataset.sources.items()}
    )
    label = _value_problem(records["label"], records["label_text"], "label", "neither 0 nor 1")
    affinity = _value_problem(
        records["affinity"], records["affinity_text"], "affinity", "not a number"
    )
    positive = records["source"].map(
        {name: source.label.stronger == "lower" for name, source in dataset.sources.items()}
    )
    affinity = affinity.mask(positive & (records["affinity"] <= 0), "affinity not above 0")
    return label.where(given, affinity)


def _value_problem(value: pd.Series, text: pd.Series, name: str, wrong: str) -> pd.Series:
    problem = pd.Series(OK, index=value.index).where(value.notna(), f"no {name}")
    return problem.mask(text.notna(), f"{name} " + text.astype(str) + f": {wrong}")


def _compare_pairs(table: pd.DataFrame, records: pd.DataFrame) -> None:
    """Add ``pair`` and ``agreement``; both have no value where a structure is missing."""
    drug, _ = pd.factorize(records["smiles"])
    target, targets = pd.factorize(records["sequence"])
    pair = pd.Series(drug * np.int64(len(targets) + 1) + target, index=table.index)
    pair = pair[(drug >= 0) & (target >= 0)]

    first = pd.Series(pair.index, index=pair.index).groupby(pair).transform("first")
    repeated = first[first != first.index]
    table["pair"] = pd.Series(FIRST, index=pair.index, dtype=object)
    table.loc[repeated.index, "pair"] = [
        f"repeats {source}, {file} row {row}"
        for source, file, row in table.loc[repeated, list(PLACE)].itertuples(index=False)
    ]

    labels = table.loc[pair.index, "label"].dropna()
    groups = labels.groupby(pair[labels.index])
    disagree = groups.transform("min") != groups.transform("max")
    agreement = pd.Series(OK, index=labels.index, dtype=object)
    agreement[disagree] = labels[disagree].map("label {:.0f}, elsewhere the other".format)
    table["agreement"] = agreement


def _given(column: pd.Series) -> pd.Series:
    """Text without white space around it; nothing counts as no value."""
    text = column.astype(object).str.strip()
    return text.where(text != "", None)


def _looked_up(column: pd.Series, problem: Callable[[str], str | None]) -> pd.Series:
    """Ok or the problem of each text, found once per different text; no value for none."""
    found = {text: problem(text) or OK for text in column.dropna().unique()}
    return column.map(found)
