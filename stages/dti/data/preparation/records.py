"""From raw records to unique drugs, targets and labelled pairs; nothing disappears on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stages.dti.artifacts.prepare import PrepareMetrics
from stages.dti.chemistry.keys import ID_SEPARATOR, drug_key, target_key
from stages.dti.chemistry.sequences import clean_sequence
from stages.dti.chemistry.standardise import standardise_drugs
from stages.dti.config.dataset import DatasetConfig, LabelRule
from stages.dti.config.prepare import PrepareConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.data.preparation.labels import label_affinities, merge_measurements
from stages.dti.errors import DataError, InvalidInputError

_SPLITS = ("test", "val", "train")
"""A pair that stands in several published parts belongs to the first of these.

So it is never trained on where its source tests on it, and no published test set loses a pair.
"""

_DRUG_FACTS = ("drug_id", "drug_name")
_TARGET_FACTS = ("target_id", "target_name", "organism", "target_class")


@dataclass(frozen=True)
class Prepared:
    """What ``prepare`` writes; ``stages/prepare.py`` names every column.

    Attributes:
        metrics: counts, for ``reports/prepare_metrics.json``.
    """

    drugs: pd.DataFrame
    targets: pd.DataFrame
    interactions: pd.DataFrame
    rejected: pd.DataFrame
    metrics: PrepareMetrics


def prepare_records(
    records: pd.DataFrame,
    dataset: DatasetConfig,
    config: PrepareConfig,
    standardise: StandardiseConfig,
    *,
    processes: int | None = None,
    progress: bool = False,
) -> Prepared:
    """Standardise, check, label and merge raw records (``formats.read_records``).

    Rows with equal canonical SMILES and equal sequence become one pair. A source whose labels come
    from affinities first reduces its rows of a pair to one affinity and labels that
    (``labels.merge_measurements``); then every row has a vote, and the majority over all sources is
    the pair's label. The pair keeps the affinity of the first source that measured it and agrees
    with that label.

    An id that stands for several drugs or targets would name none of them: each gets the id, ``~``
    and its key as its own.

    A refused row has one of these reasons, the first that applies: those of its form
    (``formats.py``: ``multichain_target``, ``unreadable_record``, ``invalid_text``),
    ``missing_smiles``, ``invalid_smiles``, ``missing_sequence``, ``invalid_sequence``,
    ``missing_affinity``, ``invalid_affinity`` (no number, or not above 0 where lower is stronger),
    ``missing_label``, ``invalid_label``, ``contradictory_affinity`` (bounds in both directions),
    ``undecided_affinity`` (between the thresholds, or a bound that reaches over one),
    ``conflicting_labels``.

    Raises:
        DataError: no row is left.
    """
    rows = records.reset_index(drop=True)
    rows["reason"] = rows["refusal"].astype(object)
    rows["detail"] = rows["refusal_detail"].astype(object)
    smiles, heavy_atoms = _number_drugs(rows, standardise, processes, progress)
    sequences = _number_targets(rows, standardise)
    for name, source in dataset.sources.items():
        _check_values(rows, rows["source"] == name, source.label)
    rows["pair"] = rows["drug"] * max(len(sequences), 1) + rows["target"]
    _vote(rows, dataset, config)
    conflicts = _settle(rows, config)

    rejected = _rejected(rows)
    accepted = rows[rows["reason"].isna()]
    if accepted.empty:
        raise DataError(_nothing_left(rejected))
    drugs = _first_facts(accepted, "drug", _DRUG_FACTS)
    drugs["smiles"] = smiles[drugs.index]
    drugs["heavy_atoms"] = heavy_atoms[drugs.index]
    drugs["drug_key"] = [drug_key(text) for text in drugs["smiles"]]
    shared_drug_ids = _tell_apart(drugs, "drug_id", "drug_key")
    targets = _first_facts(accepted, "target", _TARGET_FACTS)
    targets["sequence"] = sequences[targets.index]
    targets["residues"] = targets["sequence"].str.len().astype(np.int32)
    targets["target_key"] = [target_key(text) for text in targets["sequence"]]
    shared_target_ids = _tell_apart(targets, "target_id", "target_key")
    interactions, split_conflicts = _interactions(accepted, dataset)
    interactions["drug_key"] = drugs["drug_key"].loc[interactions.pop("drug")].to_numpy()
    interactions["target_key"] = targets["target_key"].loc[interactions.pop("target")].to_numpy()

    if int(interactions["source_rows"].sum()) + len(rejected) != len(records):
        raise DataError(
            f"{len(records)} rows were read, but {int(interactions['source_rows'].sum())} are in "
            f"pairs and {len(rejected)} rejected; this is a fault of the program, please report it"
        )
    positives = int(interactions["label"].sum())
    metrics = PrepareMetrics(
        rows_read=len(records),
        rows_rejected=len(rejected),
        rows_merged=len(records) - len(rejected) - len(interactions),
        pairs=len(interactions),
        drugs=len(drugs),
        targets=len(targets),
        positives=positives,
        prevalence=positives / len(interactions),
        drug_ids_of_several=shared_drug_ids,
        target_ids_of_several=shared_target_ids,
        label_conflicts=conflicts,
        published_split_conflicts=split_conflicts,
        rejected_by_reason={
            str(reason): int(count) for reason, count in rejected["reason"].value_counts().items()
        },
    )
    return Prepared(
        drugs.reset_index(drop=True),
        targets.reset_index(drop=True),
        interactions.reset_index(drop=True),
        rejected,
        metrics,
    )


def _refuse(rows: pd.DataFrame, where: pd.Series, reason: str, detail: str | Iterable[str]) -> None:
    """Refuse the rows ``where`` that are not refused yet; ``detail`` may have one text per row."""
    now = where & rows["reason"].isna()
    details = pd.Series(detail, index=rows.index, dtype=object)
    rows.loc[now, "reason"] = reason
    rows.loc[now, "detail"] = details[now]


def _number_drugs(
    rows: pd.DataFrame, config: StandardiseConfig, processes: int | None, progress: bool
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Set ``rows.drug`` to the number of its canonical SMILES, -1 if it has none.

    Returns:
        Canonical SMILES and heavy atoms (int32) per number.
    """
    written, unique = pd.factorize(rows["smiles"])
    drugs = standardise_drugs(list(unique), config, processes=processes, progress=progress)
    numbers, smiles = pd.factorize(np.array([drug.smiles for drug in drugs], dtype=object))
    heavy_atoms = np.zeros(len(smiles), dtype=np.int32)
    for number, drug in zip(numbers, drugs, strict=True):
        if number >= 0:
            heavy_atoms[number] = drug.heavy_atoms
    rows["drug"] = np.append(numbers, -1)[written]  # position -1: no SMILES at all
    names = rows["drug_id"].map(lambda name: f"there is no SMILES for {name}", na_action="ignore")
    _refuse(rows, rows["smiles"].isna(), "missing_smiles", names.fillna("there is no SMILES"))
    reasons = np.array([*(drug.reason for drug in drugs), None], dtype=object)[written]
    _refuse(rows, rows["drug"] < 0, "invalid_smiles", reasons)
    return np.asarray(smiles, dtype=object), heavy_atoms


def _number_targets(rows: pd.DataFrame, config: StandardiseConfig) -> np.ndarray[Any, Any]:
    """Set ``rows.target`` to the number of its clean sequence, -1 if it has none.

    Returns:
        Sequence per number.
    """
    written, unique = pd.factorize(rows["sequence"])
    cleaned: list[str | None] = []
    failures: list[str | None] = []
    for sequence in unique:
        try:
            cleaned.append(clean_sequence(sequence, config.min_residues, config.max_residues))
            failures.append(None)
        except InvalidInputError as error:
            cleaned.append(None)
            failures.append(str(error))
    numbers, sequences = pd.factorize(np.array(cleaned, dtype=object))
    rows["target"] = np.append(numbers, -1)[written]
    names = rows["target_id"].map(
        lambda name: f"there is no sequence for {name}", na_action="ignore"
    )
    _refuse(rows, rows["sequence"].isna(), "missing_sequence", names.fillna("there is no sequence"))
    reasons = np.array([*failures, None], dtype=object)[written]
    _refuse(rows, rows["target"] < 0, "invalid_sequence", reasons)
    return np.asarray(sequences, dtype=object)


def _check_values(rows: pd.DataFrame, where: pd.Series, rule: LabelRule) -> None:
    """Refuse rows of one source that lack what their label comes from."""
    kind = "affinity" if rule.rule == "threshold" else "label"
    wanted = "a number" if rule.rule == "threshold" else "0 or 1"
    missing = where & rows[kind].isna()
    text = rows[f"{kind}_text"]
    _refuse(rows, missing & text.isna(), f"missing_{kind}", f"there is no {kind}")
    _refuse(
        rows,
        missing & text.notna(),
        f"invalid_{kind}",
        text.map(lambda written: f"{written!r} is not {wanted}", na_action="ignore"),
    )
    if rule.stronger == "lower":
        detail = f"an affinity in {rule.unit}, where lower is stronger, must be above 0"
        _refuse(rows, where & (rows["affinity"] <= 0), "invalid_affinity", detail)


def _vote(rows: pd.DataFrame, dataset: DatasetConfig, config: PrepareConfig) -> None:
    """Set ``rows.vote`` to the label that each row speaks for, and the affinity behind it."""
    rows["vote"] = rows["label"]
    rows["pair_affinity"] = np.nan
    rows["pair_relation"] = pd.Series([None] * len(rows), dtype=object)
    for name, source in dataset.sources.items():
        measured = rows[(rows["source"] == name) & rows["reason"].isna()]
        if source.label.rule != "threshold" or measured.empty:
            continue
        merged = merge_measurements(
            measured["pair"].to_numpy(),
            measured["affinity"].to_numpy(),
            measured["relation"].to_numpy(),
            source.label,
            config.on_affinity_conflict,
        )
        merged["vote"] = label_affinities(
            merged["affinity"].to_numpy(), merged["relation"].to_numpy(), source.label
        )
        of_row = merged.loc[measured["pair"]].set_axis(measured.index)
        rows.loc[measured.index, "vote"] = of_row["vote"]
        rows.loc[measured.index, "pair_affinity"] = of_row["affinity"]
        rows.loc[measured.index, "pair_relation"] = of_row["relation"]
        contradictory = of_row["contradictory"].reindex(rows.index, fill_value=False)
        detail = "its measurements are bounds in both directions"
        _refuse(rows, contradictory, "contradictory_affinity", detail)
        undecided = of_row["vote"].isna()
        several = measured["pair"].duplicated(keep=False)[undecided]
        sign = of_row["relation"][undecided].mask(lambda relation: relation == "=", "")
        details = sign + of_row["affinity"][undecided].map("{:g}".format)
        details += f" {source.label.unit} is neither positive nor negative"
        details += several.map({True: " (all rows of the pair together)", False: ""})
        undecided = undecided.reindex(rows.index, fill_value=False)
        _refuse(rows, undecided, "undecided_affinity", details.reindex(rows.index))


def _settle(rows: pd.DataFrame, config: PrepareConfig) -> int:
    """Set ``rows.pair_label`` to the one label of each row's pair, or refuse the pair.

    Returns:
        The number of pairs whose rows disagreed.
    """
    accepted = rows["reason"].isna()
    votes = rows[accepted].groupby("pair")["vote"]
    positive = votes.transform("sum").reindex(rows.index, fill_value=0.0)
    count = votes.transform("size").reindex(rows.index, fill_value=0)
    disagree = accepted & (positive > 0) & (positive < count)
    tied = 2 * positive == count
    refused = disagree if config.on_label_conflict == "reject" else disagree & tied
    ones, zeros = positive[refused].astype(int), (count - positive)[refused].astype(int)
    details = (
        "of the pair's rows " + ones.astype(str) + " say 1 and " + zeros.astype(str) + " say 0"
    )
    _refuse(rows, refused, "conflicting_labels", details.reindex(rows.index))
    rows["pair_label"] = (2 * positive > count).astype(np.int8)
    return int(rows.loc[disagree, "pair"].nunique())


def _interactions(accepted: pd.DataFrame, dataset: DatasetConfig) -> tuple[pd.DataFrame, int]:
    """Return one row per pair, in order of first appearance, and the split conflicts."""
    groups = accepted.groupby("pair", sort=False)
    table = groups.agg(
        drug=("drug", "first"),
        target=("target", "first"),
        label=("pair_label", "first"),
        source_rows=("pair_label", "size"),
    )
    table["source_rows"] = table["source_rows"].astype(np.int32)
    sources = accepted[["pair", "source"]].drop_duplicates()
    table["source"] = sources.drop_duplicates("pair").set_index("pair")["source"]
    joined = sources[sources["pair"].duplicated(keep=False)].groupby("pair")["source"]
    table["source"] = joined.agg("+".join).reindex(table.index).fillna(table["source"])
    agrees = accepted["vote"] == accepted["pair_label"]
    measured = accepted[accepted["pair_affinity"].notna() & agrees]
    measured = measured.drop_duplicates("pair").set_index("pair")
    units = {name: source.label.unit for name, source in dataset.sources.items()}
    table["affinity"] = measured["pair_affinity"]
    table["affinity_relation"] = measured["pair_relation"]
    table["affinity_unit"] = measured["source"].map(units)
    rank = accepted["published_split"].map({split: i for i, split in enumerate(_SPLITS)})
    ranks = rank.groupby(accepted["pair"], sort=False)
    table["published_split"] = ranks.agg(_joined_splits)
    return table.reset_index(drop=True), int((ranks.nunique() > 1).sum())


def _joined_splits(ranks: pd.Series) -> str | None:
    """Return the published parts of a pair's rows, joined by ``+`` in the order of ``_SPLITS``."""
    named = sorted(set(ranks.dropna().astype(int)))
    return "+".join(_SPLITS[rank] for rank in named) or None


def _first_facts(accepted: pd.DataFrame, key: str, fields: Iterable[str]) -> pd.DataFrame:
    """Return the first value of each field per drug or target, in order of first appearance."""
    table = pd.DataFrame(index=pd.Index(accepted[key].unique(), name=key))
    for field in fields:
        known = accepted.loc[accepted[field].notna(), [key, field]].drop_duplicates(key)
        table[field] = known.set_index(key)[field].astype(object)
    return table


def _tell_apart(table: pd.DataFrame, id_field: str, key_field: str) -> int:
    """Make every id unique: the source's, the key where there is none, or both.

    Returns:
        How many of the source's ids stood for several.
    """
    ids = table[id_field].fillna(table[key_field])
    shared = ids.duplicated(keep=False)
    table[id_field] = ids.mask(shared, ids + ID_SEPARATOR + table[key_field])
    return int(ids[shared].nunique())


def _rejected(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the refused rows, in order, with what they said."""
    rejected = rows[rows["reason"].notna()].copy()
    numeric = rejected["affinity"].notna()
    sign = rejected["relation"].where(rejected["relation"] != "=", "")
    text = sign + rejected["affinity"].map("{:g}".format)
    rejected["affinity_text"] = text.where(numeric, rejected["affinity_text"])
    text = rejected["label"].map("{:g}".format)
    rejected["label_text"] = text.where(rejected["label"].notna(), rejected["label_text"])
    return rejected.reset_index(drop=True)


def _nothing_left(rejected: pd.DataFrame) -> str:
    counts = ", ".join(f"{n} × {reason}" for reason, n in rejected["reason"].value_counts().items())
    first = rejected.iloc[0]
    return (
        f"not one of {len(rejected)} rows can be used: {counts}. The first, row "
        f"{first['source_row']} of {first['source']}/{first['file']}: {first['detail']}. "
        "Check the data set's columns, unit and thresholds"
    )
