"""The data checks: what each one asks, of which table, and how strictly.

``expectations.py`` runs them by Great Expectations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.validate import ValidateConfig
from stages.dti.data.validation.check_tables import FIRST, OK, RELATIONS

Suite = Literal["drugs", "targets", "interactions"]
SUITES: tuple[Suite, ...] = ("drugs", "targets", "interactions")

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True)
class Check:
    """One expectation about one table.

    ``kind`` says what is measured and what ``low`` and ``high`` limit: ``share`` the share of
    rows that meet ``arguments`` (``low`` is Great Expectations' ``mostly``), ``count`` a number of
    rows or of different values, ``mean`` the mean of a column.
    """

    name: str
    suite: Suite
    title: str
    severity: Severity
    kind: Literal["share", "count", "mean"]
    expectation: str
    low: float | None
    high: float | None = None
    column: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


def all_checks(config: ValidateConfig, limits: StandardiseConfig) -> list[Check]:
    """Return every check, suite by suite.

    Args:
        config: the thresholds.
        limits: of length, above which ``prepare`` and every model refuse a row.
    """
    return [
        *_drug_checks(config, limits),
        *_target_checks(config, limits),
        *_interaction_checks(config),
    ]


def _drug_checks(config: ValidateConfig, limits: StandardiseConfig) -> list[Check]:
    return [
        _filled(
            "smiles_present", "drugs", "SMILES is given", "smiles", config.min_complete_fraction
        ),
        _fine(
            "smiles_parses",
            "drugs",
            "RDKit parses the SMILES",
            "structure",
            config.min_valid_smiles_fraction,
        ),
        Check(
            "smiles_length",
            "drugs",
            f"SMILES has at most {limits.max_smiles_characters:,} characters",
            "warning",
            "share",
            "ExpectColumnValuesToBeBetween",
            low=config.min_valid_smiles_fraction,
            column="smiles_length",
            arguments={"min_value": 1, "max_value": limits.max_smiles_characters},
        ),
        _different("drug_count", "drugs", "Different SMILES", "smiles", config.min_drugs),
    ]


def _target_checks(config: ValidateConfig, limits: StandardiseConfig) -> list[Check]:
    return [
        _filled(
            "sequence_present",
            "targets",
            "Sequence is given",
            "sequence",
            config.min_complete_fraction,
        ),
        _fine(
            "sequence_alphabet",
            "targets",
            "Every letter of the sequence is a residue",
            "residue_letters",
            config.min_valid_sequence_fraction,
        ),
        Check(
            "sequence_length",
            "targets",
            f"Sequence has {limits.min_residues:,} to {limits.max_residues:,} residues",
            "warning",
            "share",
            "ExpectColumnValuesToBeBetween",
            low=config.min_valid_sequence_fraction,
            column="residues",
            arguments={"min_value": limits.min_residues, "max_value": limits.max_residues},
        ),
        _different(
            "target_count", "targets", "Different sequences", "sequence", config.min_targets
        ),
    ]


def _interaction_checks(config: ValidateConfig) -> list[Check]:
    complete = config.min_complete_fraction
    measured = config.min_valid_measurement_fraction
    return [
        Check(
            "row_count",
            "interactions",
            "Rows",
            "critical",
            "count",
            "ExpectTableRowCountToBeBetween",
            low=config.min_rows,
        ),
        _fine(
            "identifiers_present",
            "interactions",
            "Drug and target identifier are given, where the source has them",
            "identifiers",
            complete,
            "warning",
        ),
        _fine(
            "structures_present",
            "interactions",
            "SMILES and sequence are given",
            "structures",
            complete,
        ),
        _fine(
            "measurement_valid",
            "interactions",
            "Affinity is a number (above 0 where lower is stronger), or the label is 0 or 1",
            "measurement",
            measured,
        ),
        Check(
            "relation_known",
            "interactions",
            f"Relation is one of {' '.join(RELATIONS)}",
            "critical",
            "share",
            "ExpectColumnValuesToBeInSet",
            low=measured,
            column="relation",
            arguments={"value_set": list(RELATIONS)},
        ),
        _fine(
            "rows_usable",
            "interactions",
            "Row is usable: structures, measurement and relation are all in order",
            "usable",
            config.min_usable_fraction,
        ),
        Check(
            "pairs_unique",
            "interactions",
            "Pair of SMILES and sequence is not given before",
            "info",
            "share",
            "ExpectColumnValuesToBeInSet",
            low=config.min_unique_pair_fraction,
            column="pair",
            arguments={"value_set": [FIRST]},
        ),
        _fine(
            "labels_agree",
            "interactions",
            "Label does not contradict another row of the same pair",
            "agreement",
            1 - config.max_label_conflict_fraction,
            "warning",
        ),
        Check(
            "label_balance",
            "interactions",
            "Share of interactions among labelled rows",
            "warning",
            "mean",
            "ExpectColumnMeanToBeBetween",
            low=config.min_positive_fraction,
            high=config.max_positive_fraction,
            column="label",
        ),
    ]


def _filled(name: str, suite: Suite, title: str, column: str, low: float) -> Check:
    """A column that must have values."""
    kind = "ExpectColumnValuesToNotBeNull"
    return Check(name, suite, title, "critical", "share", kind, low=low, column=column)


def _fine(
    name: str,
    suite: Suite,
    title: str,
    column: str,
    low: float,
    severity: Severity = "critical",
) -> Check:
    """A column of ``check_tables`` that holds ok or a reason."""
    return Check(
        name,
        suite,
        title,
        severity,
        "share",
        "ExpectColumnValuesToBeInSet",
        low=low,
        column=column,
        arguments={"value_set": [OK]},
    )


def _different(name: str, suite: Suite, title: str, column: str, low: int) -> Check:
    """A column that must have at least so many different values."""
    kind = "ExpectColumnUniqueValueCountToBeBetween"
    return Check(name, suite, title, "critical", "count", kind, low=low, column=column)
