"""The summary: what DVC shows of a run, on a terminal of 100 columns."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from stages.dti.artifacts.decision import Decision, StrongestBaseline
from stages.dti.artifacts.measured import Measure
from stages.dti.artifacts.validation import Validation
from stages.dti.paths import DECISION, METRICS, ROOT, SUMMARY
from stages.dti.reporting.summary import summary, write_summary
from stages.dti.runtime.compose import compose
from tests.support.artifacts import metrics, table
from tests.support.dvc_repository import COLUMNS, Repository
from tests.support.reported_results import report


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.0512345, "high": value + 0.0512345}


def of(
    model: str,
    auroc: dict[str, Any],
    auprc: dict[str, Any],
    verdict: str,
    strongest: StrongestBaseline | None,
    dataset: str,
    score: float,
) -> dict[str, dict[str, Any]]:
    """The summary of results that are whole, of which these matter."""
    measured = metrics(table(auroc, auprc=auprc, model=model), {}, {})
    validation = Validation(
        dataset=dataset,
        verdict="passed",
        problems=[],
        quality_score=score,
        coverage_fraction=1.0,
        weights={},
        sources=[],
        checks=[],
    )
    decision = Decision.model_validate(
        {
            "verdict": verdict,
            "gate_passed": verdict == "passed",
            "summary": "",
            "metric": "auroc",
            "environment": {"name": "dev", "alias": "production", "promotion": "automatic"},
            "candidate": {"model": model, "model_sha256": "0" * 64, "n": 500, "prevalence": 0.3}
            | auroc,
            "checks": [],
            "strongest_baseline": strongest,
            "previous": None,
        }
    )
    return summary(measured, decision, validation)


def figures(model: str, auroc: float, verdict: str) -> dict[str, dict[str, Any]]:
    """A summary with the longest baseline's name that there is."""
    strongest = StrongestBaseline(
        name="logistic_regression",
        **interval(0.8841234),
        difference=Measure(**interval(0.01)),
        words="",
    )
    return of(
        model,
        interval(auroc),
        interval(0.5361234),
        verdict,
        strongest,
        "bindingdb_published",
        99.87,
    )


def write(repository: Repository, values: dict[str, dict[str, Any]], *overrides: str) -> None:
    write_summary(repository.root / SUMMARY, values)
    (repository.root / "params.yaml").write_text(OmegaConf.to_yaml(compose(overrides)))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A promoted model, and beside it two experiments: one is refused, one is another model."""
    pipeline = {"metrics": [SUMMARY.as_posix()], "params": ["params.yaml"]}
    made = Repository(tmp_path_factory.mktemp("repository"), pipeline)
    write(made, figures("logistic_regression", 0.8331234, "passed"), "model=logistic_regression")
    made.commit()
    for name, model, overrides in (
        ("rate", "drugban", ["trainer.learning_rate=0.001", "model.dropout=0.3"]),
        ("boosted", "gradient_boosting", ["model=gradient_boosting"]),
    ):
        write(made, figures(model, 0.7, "refused"), *overrides)
        made.run("dvc", "exp", "save", "-q", "-n", name)
    return made


def width(text: str) -> int:
    return max(map(len, text.splitlines()))


def test_metrics_show_fits_and_holds_every_figure(repository: Repository) -> None:
    shown = repository.run("dvc", "metrics", "show")
    assert width(shown) <= COLUMNS, shown
    for value in ("0.7", "0.649", "0.751", "0.536", "refused", "0.884", "99.87"):
        assert re.search(rf"\s{re.escape(value)}\s", shown), value
    for name in ("gradient_boosting", "logistic_regression", "bindingdb_published"):
        assert name in shown


def test_metrics_diff_fits_and_tells_a_refusal(repository: Repository) -> None:
    shown = repository.run("dvc", "metrics", "diff", "main", "rate")
    assert width(shown) <= COLUMNS, shown
    assert re.search(r"gate\s+passed\s+refused", shown)
    assert re.search(r"auroc\s+0\.833\s+0\.7\s+-0\.133", shown)


def test_the_experiments_fit_with_figures_and_changed_parameters(repository: Repository) -> None:
    shutil.copy(ROOT / "Makefile", repository.root)
    venv = Path(sys.executable).parents[1]
    shown = repository.run(
        "make", "-s", "experiments", f"VENV={venv}", f"--assume-old={venv / '.installed'}"
    )
    assert width(shown) <= COLUMNS, shown
    for column in ("auroc", "auprc", "gate", "model.name"):
        assert column in shown
    assert re.search(r"\[rate\].*0\.7\s+refused", shown)
    assert re.search(r"\[boosted\].*refused.*gradient_boosting", shown)


def test_it_is_what_the_other_results_say(results_copy: Path) -> None:
    report(results_copy)
    metrics = json.loads((results_copy / METRICS).read_text())
    decision = json.loads((results_copy / DECISION).read_text())

    def figure(name: str) -> Any:
        return json.loads((results_copy / SUMMARY / f"{name}.json").read_text())

    for name in ("auroc", "auprc"):
        entry = metrics["candidate"][name]
        assert figure(name) == {
            name: round(entry["value"], 3),
            "low": round(entry["low"], 3),
            "high": round(entry["high"], 3),
            "name": "drugban",
        }
    assert figure("gate")["gate"] == decision["verdict"]
    assert figure("best")["name"] == decision["strongest_baseline"]["name"] == "gradient_boosting"
    assert figure("best")["value"] == round(decision["strongest_baseline"]["value"], 3)


def test_without_a_baseline_or_an_interval_it_says_what_is_known() -> None:
    found = of("m", interval(0.5), dict.fromkeys(interval(0)), "refused", None, "d", 100.0)
    assert "best" not in found
    assert found["auprc"] == {"auprc": None, "low": None, "high": None, "name": "m"}
