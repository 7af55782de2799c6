"""The comment on a pull request: what changed and whether it is a regression, within the limit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from stages.dti.errors import DataError
from stages.dti.files import write_json
from stages.dti.paths import INTERACTIONS, METRICS, ROOT, SPLITS, TRAINING_CURVES
from stages.dti.reporting.changes import committed_results, present_results
from stages.dti.reporting.pull_request import LIMIT, comment
from stages.dti.runtime.compose import compose
from tests.support.dvc_repository import Repository
from tests.support.reported_results import change, report, write_results

PLOT = {"Loss": {"x": "epoch", "y": {f"{TRAINING_CURVES.as_posix()}/loss.csv": "value"}}}


def write_run(root: Path, skill: float, *overrides: str, pairs: str = "sample") -> None:
    """Write a run's results with the parameters that it was made with, and its lock file."""
    shutil.rmtree(root / "reports", ignore_errors=True)
    write_results(root, skill)
    report(root)
    (root / "params.yaml").write_text(OmegaConf.to_yaml(compose(overrides)))
    outs = [{"path": path.as_posix(), "md5": f"of {pairs}"} for path in (SPLITS, INTERACTIONS)]
    lock = {"schema": "2.0", "stages": {"split": {"cmd": "split", "outs": outs}}}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository whose one commit holds a run that the gate let pass."""
    made = Repository(tmp_path_factory.mktemp("repository"), {"plots": [PLOT]})
    write_run(made.root, 1.8)
    made.commit()
    return made


@pytest.fixture
def repository(base: Repository, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base.root, tmp_path / "copy"))


def written(root: Path, limit: int | None = LIMIT) -> str:
    return comment(committed_results(root, "HEAD"), present_results(root), "HEAD", limit)


def first_line(text: str) -> str:
    return text.splitlines()[0]


def better(root: Path) -> None:
    write_run(root, 3.0, "trainer.learning_rate=0.002")


def refused(root: Path) -> None:
    write_run(root, 0.2, "trainer.learning_rate=0.1")


def another_data_set(root: Path) -> None:
    write_run(root, 3.0, "dataset=human", "split=published", pairs="human")


def test_a_better_model_is_an_improvement(repository: Path) -> None:
    better(repository)
    text = written(repository)
    assert re.match(r"## Improvement: AUROC 0\.\d{3} → 0\.\d{3}", text), first_line(text)
    assert re.search(r"\| AUROC \| 0\.\d+ \(.*drugban.*\| improved \|", text)
    assert "`trainer.learning_rate` | `0.001` | `0.002`" in text
    assert "<details><summary>" in text


def test_a_refused_model_is_a_regression_first_of_all(repository: Path) -> None:
    refused(repository)
    text = written(repository)
    assert re.match(
        r"## Regression: the gate's verdict changes from \w+ to refused; AUROC", text
    ), first_line(text)
    assert re.search(r"\| AUROC \|.*\| regressed \|", text)
    assert "is refused: AUROC" in text
    assert re.search(r"\| gate \| `?\w+`?, `drugban` \| `?refused`?, `drugban` \| changed \|", text)


def test_another_data_set_is_not_compared(repository: Path) -> None:
    another_data_set(repository)
    text = written(repository)
    assert first_line(text).startswith("## Not comparable: other test pairs than in the base")
    assert "improved" not in text
    assert "regressed" not in text
    assert "`split.kind` | `random` | `published`" in text.replace('"', "")


def test_noise_is_no_change_and_nothing_is_said_as_such(repository: Path) -> None:
    assert first_line(written(repository)).startswith("## No figure changes; the gate's verdict is")
    write_run(repository, 1.85)
    text = written(repository)
    assert first_line(text).startswith("## No clear change: AUROC 0.")
    assert "| no clear change |" in text


def test_a_lower_value_within_a_passed_gate_is_a_regression(repository: Path) -> None:
    write_run(repository, 1.2)
    assert first_line(written(repository)).startswith("## Regression: AUROC 0.")


@pytest.mark.parametrize("case", [better, refused, another_data_set])
def test_it_fits_and_the_whole_text_leaves_nothing_out(
    repository: Path, case: Callable[[Path], None]
) -> None:
    case(repository)
    text, full = written(repository), written(repository, None)
    print(case.__name__, len(text), len(full), first_line(text))
    assert len(text) <= LIMIT
    assert "more, in the attached" not in full
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(cells) == 1, table


@pytest.mark.parametrize("letter", ["x", "Ω", "🧪", "|", "`", "<"])
def test_a_flood_of_changes_stays_within_the_limit(repository: Path, letter: str) -> None:
    """459 results and as many parameters, each with a name and a value of any length."""
    lengths = [70_000, *[700] * 458]  # the first alone would be too much
    flood = {f"{row}{letter * 300}": letter * length for row, length in enumerate(lengths)}
    change(repository / METRICS, lambda metrics: metrics.update(flood))
    parameters = yaml.safe_load((repository / "params.yaml").read_text())
    (repository / "params.yaml").write_text(
        yaml.safe_dump(parameters | {"dataset": {f"{i}{letter * 300}": i for i in range(459)}})
    )
    text = written(repository)
    assert len(text.encode()) <= LIMIT
    assert text.count("<details>") == text.count("</details>") == 2
    assert "more, in the attached `full.md`" in text
    full = written(repository, None)
    assert full.count("\n| `metrics.json") == 459


def test_values_can_neither_end_a_table_nor_mention_anyone(repository: Path) -> None:
    text = "a|b`@someone` <img>\n\n# x"
    change(repository / METRICS, lambda metrics: metrics.update(note=text))
    assert "| `metrics.json note` | – | `a\\|b'@someone' <img> # x` |" in written(repository)


def test_a_base_without_a_summary_is_said(repository: Path) -> None:
    shutil.rmtree(repository / "reports")
    for command in (["add", "-A"], ["commit", "-q", "-m", "Nothing"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    better(repository)
    assert first_line(written(repository)).startswith("## No summary to compare with in the base")


def test_a_base_that_is_not_there_and_a_missing_summary_are_errors(repository: Path) -> None:
    with pytest.raises(DataError, match=r"holds no commit 'nowhere'; fetch it"):
        committed_results(repository, "nowhere")
    shutil.rmtree(repository / "reports/summary")
    with pytest.raises(DataError, match=r"reports/summary does not exist .*dvc repro"):
        present_results(repository)
    write_json(repository / METRICS, [])
    with pytest.raises(DataError, match=r"reports/metrics\.json of the working tree holds no map"):
        present_results(repository)


def workflow_step(name: str) -> str:
    """The script of a step of the workflow."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/metrics.yml").read_text())
    found: list[str] = [
        step["run"] for job in workflow["jobs"].values() for step in job["steps"]
        if step.get("name") == name
    ]  # fmt: skip
    return found[0]


def test_the_workflow_writes_comment_plots_and_step_summary(repository: Path) -> None:
    """Its step runs as it stands, in a checkout of another run's results."""
    better(repository)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "BASE": "HEAD",
        "GITHUB_STEP_SUMMARY": str(repository / "step.md"),
        "DVC_NO_ANALYTICS": "1",
    }
    script = workflow_step("Compare with the base")
    subprocess.run(["bash", "-e", "-c", script], cwd=repository, env=environment, check=True)
    folder = repository / "pull_request"
    assert (folder / "comment.md").read_text() == written(repository)
    assert (folder / "full.md").read_text() == written(repository, None)
    assert "Loss" in (folder / "plots/index.html").read_text()
    assert (repository / "step.md").read_text() == (folder / "comment.md").read_text()
