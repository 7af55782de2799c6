"""The quality score: arithmetic, what it covers, and how it is told."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from stages.dti.config.validate import ValidateConfig
from stages.dti.data.validation.check_tables import CheckTables
from stages.dti.data.validation.checks import Check, all_checks
from stages.dti.data.validation.expectations import CheckResult
from stages.dti.data.validation.quality import (
    Quality,
    describe_failure,
    document,
    judge,
    metrics,
    quality_score,
)
from stages.dti.reporting.validation_page import validation_page
from tests.support.prepared_tables import STANDARDISE

CONFIG = ValidateConfig(
    on_failure="fail",
    min_quality_score=90,
    min_rows=5,
    min_drugs=2,
    min_targets=2,
    min_complete_fraction=0.9,
    min_valid_smiles_fraction=0.9,
    min_valid_sequence_fraction=0.9,
    min_valid_measurement_fraction=0.9,
    min_usable_fraction=0.9,
    min_unique_pair_fraction=0.9,
    max_label_conflict_fraction=0.1,
    min_positive_fraction=0.1,
    max_positive_fraction=0.9,
)


def share(name: str, failing: int, rows: int = 1000) -> CheckResult:
    check = next(check for check in all_checks(CONFIG, STANDARDISE) if check.name == name)
    observed = (rows - failing) / rows
    assert check.low is not None
    example: dict[str, str | int | float | None] = {"source": "s", "found": "<b>bad</b>"}
    examples = (example,) if failing else ()
    return CheckResult(check, observed >= check.low, observed, rows, failing, examples)


def count(name: str, observed: float) -> CheckResult:
    check = next(check for check in all_checks(CONFIG, STANDARDISE) if check.name == name)
    passed = (check.low or 0) <= observed <= (check.high or float("inf"))
    return CheckResult(check, passed, observed)


def tables() -> CheckTables:
    interactions = pd.DataFrame(
        {
            "source": ["a", "a", "a", "b"],
            "usable": ["ok", "no SMILES", "ok", "ok"],
            "label": [1.0, None, 0.0, 0.0],
        }
    )
    drugs = pd.DataFrame({"source": ["a", "a", "b"], "smiles": ["C", None, "CC"]})
    targets = pd.DataFrame({"source": ["a"], "sequence": ["MKV"]})
    return CheckTables(drugs=drugs, targets=targets, interactions=interactions)


def judged(*results: CheckResult) -> Quality:
    return judge(tables(), results, CONFIG)


def test_without_a_failing_row_the_score_is_100() -> None:
    results = [share("smiles_parses", 0), share("pairs_unique", 0), count("row_count", 5)]
    assert quality_score(results) == 100


def test_one_bad_row_shows() -> None:
    assert quality_score([share("smiles_parses", 1, rows=1_000_000)]) == 99.99


def test_the_score_weighs_by_severity() -> None:
    # critical 3 × 0.95, warning 2 × 1, info 1 × 0.9
    results = [share("smiles_parses", 50), share("labels_agree", 0), share("pairs_unique", 100)]
    assert quality_score(results) == pytest.approx(100 * (3 * 0.95 + 2 * 1 + 1 * 0.9) / 6, abs=0.01)


def test_a_failed_check_earns_nothing() -> None:
    results = [share("smiles_parses", 101), share("sequence_alphabet", 0)]
    assert not results[0].passed
    assert quality_score(results) == 50


def test_coverage_is_the_share_of_usable_rows() -> None:
    quality = judged(share("rows_usable", 0))
    assert quality.coverage == 0.75
    assert quality.rows == 4


def test_sources_are_counted_apart() -> None:
    first, second = judged(share("rows_usable", 0)).sources
    assert (first.source, first.rows, first.rows_usable) == ("a", 3, 2)
    assert (first.drugs, first.targets, first.labelled, first.positives) == (1, 1, 2, 1)
    assert (second.source, second.drugs, second.targets, second.positives) == ("b", 1, 0, 0)


def test_a_low_score_is_a_problem_even_if_every_check_passed() -> None:
    quality = judge(
        tables(), [share("pairs_unique", 50)], CONFIG.model_copy(update={"min_quality_score": 96})
    )
    assert quality.passed == 1
    assert quality.problems == [
        "the quality score is 95, below validate.min_quality_score 96",
    ]


def test_a_score_at_the_limit_is_enough() -> None:
    config = CONFIG.model_copy(update={"min_quality_score": 95})
    assert judge(tables(), [share("pairs_unique", 50)], config).problems == []


def test_failures_say_what_was_found_and_what_is_allowed() -> None:
    assert describe_failure(share("smiles_parses", 200)) == (
        "drugs.smiles_parses (RDKit parses the SMILES): 200 of 1,000 rows fail, 20.00%; "
        "allowed are 10.00%"
    )
    assert describe_failure(count("row_count", 3)).endswith("found 3, expected at least 5")
    assert describe_failure(count("label_balance", 0.95)).endswith(
        "found 0.95, expected at least 0.1 and at most 0.9"
    )
    check: Check = all_checks(CONFIG, STANDARDISE)[1]
    assert describe_failure(CheckResult(check, False, None, 0, 0)).endswith(
        "there is nothing to check"
    )


def test_metrics_are_numbers_only() -> None:
    found = metrics(judged(share("smiles_parses", 10), count("row_count", 4))).plain()

    def leaves(value: object) -> list[object]:
        return (
            [x for v in value.values() for x in leaves(v)] if isinstance(value, dict) else [value]
        )

    assert all(isinstance(leaf, int | float) for leaf in leaves(found))
    assert found["checks_total"] == 2
    assert found["checks_passed"] == 1
    assert found["checks_failed"] == 1
    assert found["rows_usable"] == 3
    assert found["positive_fraction"] == pytest.approx(1 / 3)
    assert found["observed"]["drugs"] == {"smiles_parses": 0.99}


def test_the_page_shows_results_and_needs_no_network() -> None:
    quality = judged(share("smiles_parses", 200), count("row_count", 1234))
    html = validation_page(document(quality, "two sources"))
    assert "two sources" in html
    assert "200 of 1\u202f000 fail" in html
    assert "1\u202f234" in html
    assert "&lt;b&gt;bad&lt;/b&gt;" in html
    linked = re.findall(r"(?:src|href)=\"([^\"]*)\"", html)
    assert all(re.match(r"#|data:|\.\./validation/", link) for link in linked)
    assert "url(" not in html
    assert "@import" not in html
