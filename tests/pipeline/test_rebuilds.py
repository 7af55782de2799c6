"""What a change rebuilds: exactly what depends on it. Slow: each case runs several stages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.support.tiny_repository import TinyRepository

pytestmark = pytest.mark.slow

EVERY_STAGE = [
    "acquire", "validate", "prepare", "split", "featurize", "baselines", "train", "evaluate",
    "promote", "screen", "report",
]  # fmt: skip


def test_the_first_run_makes_every_report(built: TinyRepository) -> None:
    metrics = json.loads((built.root / "reports/metrics.json").read_text())
    assert metrics["candidate"]["model"] == "drugban"
    assert set(metrics["baselines"]) == {
        "base_rate", "nearest_neighbour", "similarity_vote", "logistic_regression",
        "gradient_boosting",
    }  # fmt: skip
    assert (built.root / "models/promoted/model.json").exists()
    assert (built.root / "reports/report.html").stat().st_size > 10_000
    screened = json.loads((built.root / "reports/screening_metrics.json").read_text())
    assert screened["ranked"] == 3 * screened["targets"]
    counts = json.loads((built.root / "reports/prepare_metrics.json").read_text())
    assert counts["rows_read"] == counts["pairs"] + counts["rows_merged"] + counts["rows_rejected"]


def test_a_second_run_does_nothing_and_leaves_git_clean(tiny: TinyRepository) -> None:
    assert tiny.repro() == []
    assert tiny.run("git", "status", "--porcelain").stdout == ""


def test_a_second_clone_gives_the_same_lock(tiny: TinyRepository, tmp_path: Path) -> None:
    tiny.run("git", "clone", "-q", str(tiny.root), str(tmp_path / "clone"))
    clone = TinyRepository(tmp_path / "clone")
    assert set(clone.repro()) == set(EVERY_STAGE)
    assert (clone.root / "dvc.lock").read_text() == (tiny.root / "dvc.lock").read_text()


CHANGES = {
    "evaluate parameters": (
        "conf/evaluate/default.yaml", {"bootstrap_samples": 120},
        ["evaluate", "promote", "screen", "report"],
    ),
    "promotion threshold": (
        "conf/promote/default.yaml", {"floor": 0.01}, ["promote", "screen", "report"],
    ),
    "targets on the page": ("conf/report/default.yaml", {"screening_targets": 2}, ["report"]),
    "report title": ("conf/report/default.yaml", {"title": "Another"}, ["report"]),
    "time limit": ("conf/execution/default.yaml", {"timeout_s": {"default": 500.0}}, []),
    "server port": ("conf/serve/default.yaml", {"port": 8001}, []),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_parameter_reruns_its_stage_and_what_follows(tiny: TinyRepository, change: str) -> None:
    file, values, stages = CHANGES[change]
    tiny.edit(file, values)
    assert tiny.repro() == stages


def test_the_split_seed_reruns_from_split(tiny: TinyRepository) -> None:
    tiny.edit("conf/split/_base.yaml", {"seed": 1})
    assert tiny.repro() == EVERY_STAGE[3:]


SCORED = ["evaluate", "promote", "screen"]
"""Stages that load models, and so depend on every model's code."""

EDITED_CODE = {
    "stages/dti/reporting/templates/style.css": ["report"],
    "stages/dti/reporting/templates/screening.html": ["report"],
    "stages/dti/reporting/figures.py": ["report"],
    "stages/dti/tracking/runs.py": [],
    "stages/dti/runtime/stage.py": [],
    "stages/dti/config/screen.py": [],
    "stages/dti/artifacts/decision.py": [],
    "stages/dti/config/split.py": ["split"],
    "stages/dti/files.py": [],
    "stages/dti/commands/promote.py": [],
    "serve/__main__.py": [],
    "stages/dti/lifecycle/gates.py": ["promote"],
    "stages/dti/screening/chunks.py": ["screen"],
    "stages/dti/data/splitting/clusters.py": ["split"],
    "stages/dti/data/validation/checks.py": ["validate"],
    "stages/dti/training/curves.py": ["train"],
    "stages/dti/models/classical/gradient_boosting.py": ["baselines", *SCORED],
    "stages/dti/models/drugban/network.py": ["train", *SCORED],
    "stages/dti/chemistry/scaffolds.py": EVERY_STAGE[1:-1],
}
"""A comment at its end → the stages that run: those that depend on its room, and no other, since a
comment changes none of their outputs."""


@pytest.mark.parametrize("file", EDITED_CODE)
def test_a_comment_reruns_what_depends_on_its_room(tiny: TinyRepository, file: str) -> None:
    with (tiny.root / file).open("a") as stream:
        stream.write("\n/* A comment. */\n" if file.endswith(".css") else COMMENTS[file[-3:]])
    assert sorted(tiny.repro()) == sorted(EDITED_CODE[file])
    assert tiny.run("git", "status", "--porcelain", "reports", "models").stdout == ""


COMMENTS = {".py": "\n# A comment.\n", "tml": "{# A comment. #}\n"}


def test_another_text_of_an_error_reruns_nothing(tiny: TinyRepository) -> None:
    errors = tiny.root / "stages/dti/errors.py"
    text = errors.read_text()
    assert "; did you mean " in text
    errors.write_text(text.replace("; did you mean ", "; perhaps you mean "))
    assert tiny.repro() == []


NEW_STAGE = {
    "stages/counts.py": """
from stages.dti.config.counts import CountsConfig
from stages.dti.files import write_json
from stages.dti.paths import COUNTS, Paths
from stages.dti.runtime.stage import main

def run(paths: Paths, *, counts: CountsConfig) -> None:
    write_json(paths.write(COUNTS), {"start": counts.start})

if __name__ == "__main__":
    main(run)
""",
    "stages/dti/config/counts.py": """
from pydantic import Field
from stages.dti.config.base import Section

class CountsConfig(Section):
    start: int = Field(ge=0, le=9)
""",
    "conf/counts/default.yaml": "start: 3\n",
}
"""A new stage with a section of its own."""

ENTRY = """
  counts:
    cmd: python -m stages.counts ${hydra}
    params: [counts]
    deps: [stages/counts.py]
    outs:
      - reports/counts.json: {cache: false}
"""


def test_a_new_stage_reruns_no_old_one(tiny: TinyRepository) -> None:
    for name, text in NEW_STAGE.items():
        path = tiny.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for name, old, new in (
        ("stages/dti/paths.py", "\nRAW = ", '\nCOUNTS = Path("reports/counts.json")\nRAW = '),
        (
            "stages/dti/config/sections.py",
            "\n    acquire: AcquireConfig\n",
            "\n    acquire: AcquireConfig\n    counts: CountsConfig\n",
        ),
        (
            "stages/dti/config/sections.py",
            "\nfrom stages.dti.config.acquire",
            "\nfrom stages.dti.config.counts import CountsConfig\nfrom stages.dti.config.acquire",
        ),
        (
            "conf/config.yaml",
            "\n  - acquire: default\n",
            "\n  - acquire: default\n  - counts: default\n",
        ),
        ("dvc.yaml", "\nstages:\n", f"\nstages:{ENTRY}"),
    ):
        text = (tiny.root / name).read_text()
        assert text.count(old) == 1
        (tiny.root / name).write_text(text.replace(old, new))
    assert tiny.repro() == ["counts"]
    assert json.loads((tiny.root / "reports/counts.json").read_text()) == {"start": 3}
    tiny.run("git", "clean", "-fdq")


def test_a_killed_stage_is_rebuilt_whole(tiny: TinyRepository) -> None:
    tiny.edit("conf/trainer/default.yaml", {"max_epochs": 3})
    tiny.run("python", "-m", "stages.dti", "compose")
    process = subprocess.Popen(
        ["dvc", "repro", "train"],
        cwd=tiny.root,
        env=tiny.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    candidate = tiny.root / "models/candidate"
    # DVC removes the stage's outs when it starts it; that is the middle that we wait for.
    while candidate.exists() and process.poll() is None and time.monotonic() < deadline:
        os.sched_yield()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tiny.root / "models/candidate").exists()
    for lock in (tiny.root / ".dvc/tmp").glob("*lock*"):
        if lock.is_file():
            lock.unlink()
    assert tiny.repro()[0] == "train"
    assert (tiny.root / "models/candidate/weights.safetensors").exists()
    assert tiny.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


def test_exp_run_trains_the_model_that_it_names(tiny: TinyRepository, tmp_path: Path) -> None:
    tiny.run("dvc", "exp", "run", "-S", "model=gradient_boosting", "-n", "boosted")
    lock = yaml.safe_load((tiny.root / "dvc.lock").read_text())
    assert lock["stages"]["train"]["params"]["params.yaml"]["model"]["name"] == "gradient_boosting"
    metrics = json.loads((tiny.root / "reports/metrics.json").read_text())
    assert metrics["candidate"]["model"] == "gradient_boosting"
    assert json.loads((tiny.root / "models/candidate/model.json").read_text())["name"] == (
        "gradient_boosting"
    )
    names = _mlflow_run_names(tiny, "drug_repurposing_training")
    assert "gradient_boosting" in names
    difference = tiny.run("dvc", "metrics", "diff", "--json").stdout
    assert "drugban" in difference
    tiny.run("dvc", "plots", "diff", "HEAD", "-o", str(tmp_path))
    assert (tmp_path / "index.html").exists()


def test_a_queued_grid_runs_every_point(tiny: TinyRepository) -> None:
    tiny.run(
        "dvc", "exp", "run", "--queue",
        "-S", "model=base_rate,nearest_neighbour", "-S", "evaluate.bootstrap_samples=100,110",
    )  # fmt: skip
    tiny.run("dvc", "exp", "run", "--run-all")
    table = json.loads(tiny.run("dvc", "exp", "show", "--json").stdout)
    points = {
        (
            experiment["revs"][0]["data"]["params"]["params.yaml"]["data"]["model"]["name"],
            experiment["revs"][0]["data"]["params"]["params.yaml"]["data"]["evaluate"][
                "bootstrap_samples"
            ],
        )
        for revision in table
        for experiment in revision.get("experiments") or []
        if experiment["revs"][0].get("data")
    }
    assert {(m, n) for m in ("base_rate", "nearest_neighbour") for n in (100, 110)} <= points


def test_multirun_writes_below_its_own_folders(tiny: TinyRepository) -> None:
    tiny.run("python", "-m", "stages.train", "-m", "model=base_rate,logistic_regression")
    names = {
        json.loads(path.read_text())["name"]
        for path in (tiny.root / "multirun").glob("*/*/*/models/candidate/model.json")
    }
    assert names == {"base_rate", "logistic_regression"}
    assert tiny.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    assert tiny.run("git", "status", "--porcelain").stdout == ""


def _mlflow_run_names(tiny: TinyRepository, experiment: str) -> list[str]:
    script = (
        "from mlflow import MlflowClient; c = MlflowClient('sqlite:///mlflow.db'); "
        f"e = c.get_experiment_by_name('{experiment}').experiment_id; "
        "print([r.info.run_name for r in c.search_runs([e])])"
    )
    names: list[str] = json.loads(tiny.run("python", "-c", script).stdout.replace("'", '"'))
    return names


def test_evaluate_and_a_direct_call_agree_to_the_last_bit(tiny: TinyRepository) -> None:
    script = """
import pandas as pd
from stages.dti.paths import DRUGS, EVALUATION, PROMOTED, TARGETS
from stages.dti.prediction.types import Pair
from stages.dti.prediction.predictor import Predictor
table = pd.read_parquet(EVALUATION / "predictions.parquet")
table = table.merge(pd.read_parquet(DRUGS)).merge(pd.read_parquet(TARGETS))
pairs = [Pair(*row) for row in table[["smiles", "sequence"]].itertuples(index=False)]
predicted = Predictor.load(PROMOTED).predict(pairs)
assert [p.score for p in predicted] == table["candidate_score"].tolist()
assert [p.probability for p in predicted] == table["candidate_probability"].tolist()
print(len(pairs))
"""
    assert int(tiny.run("python", "-c", script).stdout) > 20
