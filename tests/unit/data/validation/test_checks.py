"""Every data check passes on good data, and fails when its own rule is broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from stages.dti.chemistry.standardise import parse_smiles
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.config.validate import ValidateConfig
from stages.dti.data.validation.check_tables import make_tables
from stages.dti.data.validation.checks import Check, all_checks
from stages.dti.data.validation.expectations import CheckResult, run_checks
from tests.support.prepared_tables import STANDARDISE

DRUGS = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "imatinib": "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1",
    "ibuprofen": "CC(C)Cc1ccc(C(C)C(=O)O)cc1",
}
TARGETS = {
    "ubiquitin": "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG",
    "insulin": "MALWMRLLPLLALLALWGPDPAAAFVNQHLCGSHLVEALYLVCGERGFFYTPKTRREAEDLQVGQVELGGGPG",
    "thioredoxin": "MVKQIESKTAFQEALDAAGDKLVVVDFSATWCGPCKMIKPFFHSLSEKYSNVIFLEVDVDDCQDVASECEVKC",
}
DATASET = DatasetConfig.model_validate(
    {
        "sources": {
            "measured": {
                "format": "pairs",
                "files": {"pairs": {"url": "pairs.csv"}},
                "columns": {"affinity": "affinity", "drug_id": "d", "target_id": "t"},
                "label": {
                    "rule": "threshold",
                    "unit": "nM",
                    "stronger": "lower",
                    "positive_threshold": 100,
                    "negative_threshold": 10000,
                },
            },
            "labelled": {
                "format": "pairs",
                "files": {"pairs": {"url": "labels.csv"}},
                "columns": {"label": "label"},
                "label": {"rule": "given"},
            },
        }
    }
)
CONFIG = ValidateConfig(
    on_failure="fail",
    min_quality_score=90,
    min_rows=5,
    min_drugs=2,
    min_targets=2,
    min_complete_fraction=0.95,
    min_valid_smiles_fraction=0.95,
    min_valid_sequence_fraction=0.95,
    min_valid_measurement_fraction=0.95,
    min_usable_fraction=0.9,
    min_unique_pair_fraction=0.95,
    max_label_conflict_fraction=0.05,
    min_positive_fraction=0.1,
    max_positive_fraction=0.9,
)
LIMITS = STANDARDISE.model_copy(update={"max_residues": 100, "max_smiles_characters": 200})
NAMES = [check.name for check in all_checks(CONFIG, LIMITS)]


def good_records() -> pd.DataFrame:
    """Twelve measured pairs with ids, and four labelled ones without."""
    pairs = [(drug, target) for drug in DRUGS for target in TARGETS]
    measured = pd.DataFrame(
        {
            "source": "measured",
            "file": "pairs.csv",
            "source_row": range(1, 13),
            "drug_id": [drug for drug, _ in pairs],
            "target_id": [target for _, target in pairs],
            "smiles": [DRUGS[drug] for drug, _ in pairs],
            "sequence": [TARGETS[target] for _, target in pairs],
            "affinity": [5.0, 20000.0, 50.0] * 4,
            "relation": ["=", ">", "<"] * 4,
            "label": np.nan,
        }
    )
    labelled = pd.DataFrame(
        {
            "source": "labelled",
            "file": "labels.csv",
            "source_row": range(1, 5),
            "drug_id": None,
            "target_id": None,
            "smiles": ["CCO", "CCN", "CCC", "CCCC"],
            "sequence": TARGETS["insulin"][::-1],
            "affinity": np.nan,
            "relation": "=",
            "label": [1.0, 0.0, 1.0, 0.0],
        }
    )
    records = pd.concat([measured, labelled], ignore_index=True)
    records[["affinity_text", "label_text", "refusal"]] = None
    return records


def broken_records() -> pd.DataFrame:
    """Good records, with one or more rows that break each rule about rows."""
    records = good_records()
    last = 15
    records.loc[0, "smiles"] = None
    records.loc[1, "smiles"] = "c1ccccc"
    records.loc[2, "smiles"] = "C" * 300
    records.loc[3, "sequence"] = "  "
    records.loc[4, "sequence"] = "MKV1LLA" * 8
    records.loc[5, "sequence"] = "MKVLLA"
    records.loc[6, "drug_id"] = None
    records.loc[7, "affinity"] = np.nan
    records.loc[7, "affinity_text"] = "strong"
    records.loc[8, "relation"] = "about"
    records.loc[11, "affinity"] = 0.0
    records.loc[last, "label"] = np.nan
    records.loc[last, "label_text"] = "2"
    again = records.loc[[9, 10]].assign(source_row=[13, 14], affinity=20000.0)
    return pd.concat([records, again], ignore_index=True)


def run(records: pd.DataFrame, config: ValidateConfig) -> dict[str, CheckResult]:
    results = run_checks(make_tables(records, DATASET, LIMITS), all_checks(config, LIMITS))
    return {result.check.name: result for result in results}


@pytest.fixture(scope="module")
def good() -> dict[str, CheckResult]:
    return run(good_records(), CONFIG)


@pytest.fixture(scope="module")
def broken() -> dict[str, CheckResult]:
    impossible = {"min_rows": 1000, "min_drugs": 1000, "min_targets": 1000}
    balance = {"min_positive_fraction": 0.8, "max_positive_fraction": 0.9}
    return run(broken_records(), CONFIG.model_copy(update=impossible | balance))


@pytest.mark.parametrize("name", NAMES)
def test_good_data_passes(good: dict[str, CheckResult], name: str) -> None:
    assert good[name].passed, good[name]


@pytest.mark.parametrize("name", NAMES)
def test_broken_data_fails(broken: dict[str, CheckResult], name: str) -> None:
    assert not broken[name].passed, broken[name]


def test_counts_and_shares(good: dict[str, CheckResult]) -> None:
    assert good["row_count"].observed == 16
    assert good["drug_count"].observed == 8
    assert good["target_count"].observed == 4
    # Measured rows: 5, > 20,000 and < 50 nM in turn, so 8 of 12; labelled rows: 2 of 4.
    assert good["label_balance"].observed == pytest.approx(10 / 16)
    assert good["rows_usable"].observed == 1.0


FAILING = {
    "smiles_present": (1, None),
    "smiles_parses": (2, "SMILES syntax error"),
    "smiles_length": (1, 300),
    "sequence_present": (1, None),
    "sequence_alphabet": (1, "'1' at residue 4"),
    "sequence_length": (1, 6),
    "identifiers_present": (1, "no drug identifier"),
    "structures_present": (2, "no SMILES"),
    "measurement_valid": (3, "affinity strong: not a number"),
    "relation_known": (1, "about"),
    "rows_usable": (10, "no SMILES"),
    "pairs_unique": (2, "repeats measured, pairs.csv row 10"),
    "labels_agree": (2, "label 1, elsewhere the other"),
}


@pytest.mark.parametrize(("name", "expected"), FAILING.items())
def test_failing_rows_are_counted_and_shown(
    broken: dict[str, CheckResult], name: str, expected: tuple[int, str | int | None]
) -> None:
    rows, found = expected
    result = broken[name]
    assert result.rows_failing == rows
    first = result.examples[0]
    assert {"source", "file", "source_row", "found"} <= set(first)
    if isinstance(found, str):
        assert found in str(first["found"])
    else:
        assert first["found"] == found


def test_a_row_that_its_form_rules_out_is_only_unusable() -> None:
    records = good_records()
    records.loc[0, "smiles"] = None
    records.loc[0, "affinity"] = np.nan
    records.loc[0, "refusal"] = "multichain_target"
    table = make_tables(records, DATASET, LIMITS).interactions
    assert table.loc[0, "usable"] == "multichain_target"
    assert table.loc[0, ["structures", "measurement", "label"]].isna().all()
    assert (table.loc[1:, "usable"] == "ok").all()


def test_a_check_with_nothing_to_check_fails() -> None:
    records = good_records().assign(smiles=None)
    checks: list[Check] = [check for check in all_checks(CONFIG, LIMITS) if check.suite == "drugs"]
    results = run_checks(make_tables(records, DATASET, LIMITS), checks)
    parses = next(result for result in results if result.check.name == "smiles_parses")
    assert not parses.passed
    assert parses.observed is None
    assert parses.rows_checked == 0


def test_a_check_that_cannot_run_is_an_error() -> None:
    check = replace(all_checks(CONFIG, LIMITS)[0], column="no_such_column")
    with pytest.raises(RuntimeError, match="smiles_present"):
        run_checks(make_tables(good_records(), DATASET, LIMITS), [check])


def test_records_are_left_as_they_were() -> None:
    records = broken_records()
    make_tables(records, DATASET, LIMITS)
    pd.testing.assert_frame_equal(records, broken_records())


def test_each_different_structure_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def parse(smiles: str, config: StandardiseConfig) -> Chem.Mol:
        parsed.append(smiles)
        return parse_smiles(smiles, config)

    monkeypatch.setattr("stages.dti.data.validation.check_tables.parse_smiles", parse)
    make_tables(good_records(), DATASET, LIMITS)
    assert sorted(parsed) == sorted(set(parsed))
    assert len(parsed) == 8
