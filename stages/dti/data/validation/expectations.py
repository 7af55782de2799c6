"""Runs the data checks by Great Expectations, and writes its Data Docs.

Great Expectations is imported only inside `run_checks`: that takes seconds.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stages.dti.data.validation.check_tables import PLACE, CheckTables
from stages.dti.data.validation.checks import SUITES, Check

EXAMPLES = 5
"""Failing rows that are shown per check."""

# Data Docs put the time of the run into their pages and file names. Equal data must give equal
# bytes, so that every run happens at this moment.
_RUN_TIME = datetime(2000, 1, 1, tzinfo=UTC)

_EXAMPLE_CHARACTERS = 100

_IDENTITY = {
    "drugs": (*PLACE, "drug_id", "smiles"),
    "targets": (*PLACE, "target_id", "sequence"),
    "interactions": (*PLACE, "drug_id", "target_id"),
}


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    ``observed`` is a share in 0..1, a count or a mean, as the check's ``kind`` says, ``None`` if
    there was nothing to measure; a check with nothing to measure has failed. ``rows_checked`` and
    ``rows_failing`` are ``None`` for a count or a mean. ``examples`` are the first failing rows.
    """

    check: Check
    passed: bool
    observed: float | None
    rows_checked: int | None = None
    rows_failing: int | None = None
    examples: tuple[dict[str, str | int | float | None], ...] = ()


def run_checks(
    tables: CheckTables, checks: Sequence[Check], docs: Path | None = None
) -> list[CheckResult]:
    """Run the checks by Great Expectations and return a result for each, in their order.

    ``docs``: a folder for its Data Docs (they take their styles from the network); two runs on
    equal data write equal bytes.

    Raises:
        RuntimeError: Great Expectations could not evaluate a check; that is a program error.
    """
    # It tells hundreds of its own class registrations at the level at which stages log.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx
    from great_expectations.checkpoint import UpdateDataDocsAction
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            analytics_enabled=False,
            progress_bars=ProgressBarsConfig(globally=False),
        ),
    )
    actions = []
    if docs is not None:
        context.add_data_docs_site(
            site_name="raw_data",
            site_config={
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": str(docs),
                },
                "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            },
        )
        actions = [UpdateDataDocsAction(name="data_docs", site_names=["raw_data"])]
    source = context.data_sources.add_pandas("raw")
    found: dict[str, CheckResult] = {}
    for suite_name in SUITES:
        mine = [check for check in checks if check.suite == suite_name]
        if not mine:
            continue
        batch = source.add_dataframe_asset(suite_name).add_batch_definition_whole_dataframe("all")
        suite = gx.ExpectationSuite(
            name=suite_name, expectations=[_expectation(check) for check in mine]
        )
        definition = gx.ValidationDefinition(
            name=suite_name, data=batch, suite=context.suites.add(suite)
        )
        checkpoint = gx.Checkpoint(
            name=suite_name,
            validation_definitions=[context.validation_definitions.add(definition)],
            actions=actions,
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": list(_IDENTITY[suite_name]),
                "partial_unexpected_count": EXAMPLES,
            },
        )
        outcome = context.checkpoints.add(checkpoint).run(
            batch_parameters={"dataframe": getattr(tables, suite_name)},
            run_id=RunIdentifier(run_name="validate", run_time=_RUN_TIME),
        )
        by_name = {check.name: check for check in mine}
        for validation in outcome.run_results.values():
            for result in validation.results:
                check = by_name[result.expectation_config.meta["check"]]
                found[check.name] = _result(check, result.to_json_dict())
    if docs is not None:
        _make_repeatable(docs)
        _drop_unused_images(docs)
    return [found[check.name] for check in checks]


def _expectation(check: Check) -> Any:
    import great_expectations.expectations as expectations

    arguments = dict(check.arguments)
    if check.column is not None:
        arguments["column"] = check.column
    if check.kind == "share":
        arguments["mostly"] = check.low
    else:
        arguments |= {"min_value": check.low, "max_value": check.high}
    kind = getattr(expectations, check.expectation)
    return kind(**arguments, severity=check.severity, meta={"check": check.name}, notes=check.title)


def _result(check: Check, outcome: dict[str, Any]) -> CheckResult:
    if outcome["exception_info"].get("raised_exception", True):
        raise RuntimeError(f"check {check.name}: {outcome['exception_info']}")
    result = outcome["result"]
    if check.kind != "share":
        return CheckResult(check, bool(outcome["success"]), observed=result["observed_value"])
    rows = result["element_count"] - result.get("missing_count", 0)
    failing = result["unexpected_count"]
    return CheckResult(
        check,
        # Great Expectations passes a column without any value: nothing was found, nor looked at.
        passed=bool(outcome["success"]) and rows > 0,
        observed=(rows - failing) / rows if rows else None,
        rows_checked=rows,
        rows_failing=failing,
        examples=tuple(
            _example(check, row) for row in result.get("partial_unexpected_index_list", [])
        ),
    )


def _example(check: Check, row: dict[str, Any]) -> dict[str, str | int | float | None]:
    """A failing row: who it is, and ``found``, what stands in the checked column."""
    assert check.column is not None
    example = {name: _shown(row[name]) for name in _IDENTITY[check.suite]}
    return {**example, "found": _shown(row[check.column])}


def _shown(value: Any) -> Any:
    """Long text cut, whole numbers without decimals, no value as ``None``."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value
    if isinstance(value, str) and len(value) > _EXAMPLE_CHARACTERS:
        return value[: _EXAMPLE_CHARACTERS - 1] + "…"
    return value


_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{8}T\d{6}\.\d{6}Z")


def _make_repeatable(docs: Path) -> None:
    """Take out of Data Docs what differs from run to run: random ids, moments, the time zone."""
    local = _RUN_TIME.astimezone()
    fixed = {
        local.strftime("%Y-%m-%d %H:%M:%S %Z"): _RUN_TIME.strftime("%Y-%m-%d %H:%M:%S UTC"),
        local.strftime("%Y-%m-%dT%H:%M:%S"): _RUN_TIME.strftime("%Y-%m-%dT%H:%M:%S"),
    }
    moment = _RUN_TIME.strftime("%Y%m%dT%H%M%S.%fZ")
    for page in sorted(docs.rglob("*.html")):
        numbers: dict[str, str] = {}

        def numbered(match: re.Match[str], numbers: dict[str, str] = numbers) -> str:
            return numbers.setdefault(match.group(), f"id-{len(numbers) + 1}")

        text = _UUID.sub(numbered, page.read_text(encoding="utf-8"))
        text = _MOMENT.sub(moment, text)
        for written, wanted in fixed.items():
            text = text.replace(written, wanted)
        page.write_text(text, encoding="utf-8")


def _drop_unused_images(docs: Path) -> None:
    """Data Docs bring 3.5 MB of animated help that no page shows; the cache need not hold it."""
    pages = [page.read_text(encoding="utf-8") for page in docs.rglob("*.html")]
    for image in sorted((docs / "static" / "images").iterdir()):
        if not any(image.name in page for page in pages):
            image.unlink()
