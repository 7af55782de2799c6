"""What follows from a decision: the challenger, the explicit act, its refusals, a second call."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo

from stages.dti.artifacts.model_files import verify_folder
from stages.dti.commands import promote
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.errors import DtiError, PromotionError
from stages.dti.files import write_json
from stages.dti.lifecycle import transitions
from stages.dti.lifecycle.record import MEASURED_ON
from stages.dti.lifecycle.transitions import follow_candidate, name_first, promote_committed
from stages.dti.paths import CANDIDATE, DECISION, METRICS, PRODUCTION, PROMOTED
from stages.dti.tracking.registry import find_version
from tests.support.promotion_repository import DEV, PROMOTE, REGISTERED, Repository, propose, read
from tests.support.written_files import files_below

TOLERANT = PROMOTE.model_copy(update={"max_loss_to_previous": 0.5})
PROD = EnvironmentConfig(name="prod", alias="production", promotion="refuse")
STAGING = EnvironmentConfig(name="staging", alias="staging", promotion="automatic")

PIPELINE = """
stages:
  train:
    cmd: "true"
    outs: [models/candidate]
  promote:
    cmd: "true"
    deps: [models/candidate, models/production.json]
    outs: [{models/promoted: {persist: true}}, {reports/decision.json: {cache: false}}]
"""


class Committed(Repository):
    """A repository under git and DVC, whose state is committed."""

    def run(self, *command: str) -> str:
        """Run a command there and return what it printed."""
        return subprocess.run(
            command, cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def start(self) -> None:
        """Put the first state under version control."""
        (self.root / "dvc.yaml").write_text(PIPELINE)
        (self.root / "params.yaml").write_text("a: 1\n")
        (self.root / "stages").mkdir()
        (self.root / "stages/train.py").write_text("# code\n")
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "config", "user.email", "test@example.invalid")
        self.run("git", "config", "user.name", "Test")
        Repo.init(str(self.root)).close()
        self.commit()

    def commit(self) -> str:
        """Commit the present state and return the commit."""
        with Repo(str(self.root)) as repo:
            repo.commit(force=True)
        known = ("params.yaml", "dvc.yaml", "dvc.lock", "stages", str(DECISION), str(PRODUCTION))
        self.run("git", "add", "-f", *known)
        self.run("git", "commit", "-q", "-m", "State")
        return self.run("git", "rev-parse", "HEAD")

    def act(self, environment: EnvironmentConfig = DEV) -> str:
        """Promote the committed state; return what was said."""
        return promote_committed(self.root, environment, self.tracking)

    def first(self, environment: EnvironmentConfig = DEV) -> str:
        """Name what the record has, where nothing is named; return what was said."""
        return name_first(self.root, environment, self.tracking)


@pytest.fixture(scope="module")
def decided(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed state with a candidate that passed, in an empty registry."""
    root = tmp_path_factory.mktemp("decided") / "repository"
    shutil.copytree(pipeline, root)
    committed = Committed(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        committed.decide()
    committed.start()
    return root


@pytest.fixture
def committed(decided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Committed:
    """A copy of it that a test may promote in."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for variable in transitions.EXPERIMENT_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return Committed(Path(shutil.copytree(decided, tmp_path / "repository")))


def test_the_act_moves_the_alias_and_is_on_record(committed: Committed) -> None:
    commit = committed.run("git", "rev-parse", "HEAD")
    said = committed.act()
    sha256 = verify_folder(committed.root / CANDIDATE)
    assert said == (
        f"production of {REGISTERED} now names version 1 (logistic_regression {sha256[:12]}); "
        "commit models/production.json and dvc.lock"
    )
    assert committed.named("production") == 1
    (entry,) = committed.record()
    measured = read(committed.root / METRICS)["candidate"]
    facts = read(committed.root / CANDIDATE / "model.json")
    assert (entry.model, entry.model_sha256, entry.commit) == (
        "logistic_regression",
        sha256,
        commit,
    )
    assert entry.dataset == facts["dataset"]
    assert entry.data_sha256 == {name: facts["data_sha256"][name] for name in MEASURED_ON}
    assert entry.test == {
        "n": measured["n"],
        "auroc": measured["auroc"]["value"],
        "auprc": measured["auprc"]["value"],
    }
    assert entry.promoted_unix_s > 0
    [run] = committed.store.client.search_runs(
        [committed.store.experiment_id("production")], filter_string="params.alias = 'production'"
    )
    assert run.data.params["previous_version"] == "none"
    version = committed.store.client.get_model_version(REGISTERED, "1")
    assert version.tags["model"] == "logistic_regression"
    assert version.tags["decision"] == read(committed.root / DECISION)["summary"]


def test_a_second_call_changes_nothing_and_says_so(committed: Committed) -> None:
    committed.act()
    record, runs = committed.record(), committed.production_runs()
    assert "version 1" in committed.act()
    assert committed.act().endswith("already; commit models/production.json and dvc.lock")
    committed.commit()
    assert committed.act().endswith("already")
    assert (committed.record(), committed.production_runs()) == (record, runs)


@pytest.mark.parametrize("step", ["promote", "add_promotion", "_register"])
def test_killed_at_a_step_it_is_finished_by_the_next_call(
    step: str, committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    place = transitions.registry if step == "promote" else transitions
    with monkeypatch.context() as patch:
        patch.setattr(place, step, killed)
        with pytest.raises(KeyboardInterrupt):
            committed.act()
    assert "now names version 1" in committed.act()
    assert (committed.named("production"), committed.versions()) == (1, 1)
    assert len(committed.record()) == 1


def test_rolling_back_is_the_same_act_in_an_older_commit(committed: Committed) -> None:
    committed.act()
    old = committed.commit()
    propose(committed.root, "other")
    committed.decide(TOLERANT)
    committed.commit()
    assert "version 2" in committed.act()
    committed.commit()
    assert len(committed.record()) == 2

    committed.run("git", "checkout", "-q", old)
    with Repo(str(committed.root)) as repo:
        repo.checkout(force=True)
    assert committed.named("production") == 2
    assert "now names version 1" in committed.act()
    assert committed.named("production") == 1
    assert committed.record()[-1].model_sha256 == verify_folder(committed.root / CANDIDATE)
    assert committed.run("git", "status", "--porcelain", "--untracked-files=no") == ""
    tags = committed.store.client.get_model_version(REGISTERED, "1").tags
    assert tags["previous_version"] == "2"


def test_a_new_registry_learns_what_was_before(committed: Committed) -> None:
    committed.act()
    propose(committed.root, "other")
    committed.decide(TOLERANT)
    committed.commit()
    committed.store.client.delete_registered_model_alias(REGISTERED, "production")
    committed.act()
    tags = committed.store.client.get_model_version(REGISTERED, "2").tags
    assert tags["previous_version"] == "1"


def refused_candidate(committed: Committed) -> None:
    propose(committed.root, "base_rate")
    committed.decide()
    committed.commit()


def changed_params(committed: Committed) -> None:
    (committed.root / "params.yaml").write_text("a: 2\n")


def new_code(committed: Committed) -> None:
    (committed.root / "stages/new.py").write_text("")


def changed_decision(committed: Committed) -> None:
    decision = read(committed.root / DECISION)
    write_json(committed.root / DECISION, decision | {"summary": "It is good."})


def other_model(committed: Committed) -> None:
    propose(committed.root, "other")
    shutil.copytree(committed.root / CANDIDATE, committed.root / PROMOTED, dirs_exist_ok=True)
    committed.commit()


def stale_lock(committed: Committed) -> None:
    (committed.root / CANDIDATE / "more.txt").write_text("")


def altered_card(committed: Committed) -> None:
    (committed.root / PROMOTED / "MODEL_CARD.md").write_text("Excellent.")


def no_export(committed: Committed) -> None:
    shutil.rmtree(committed.root / PROMOTED)


def no_git(committed: Committed) -> None:
    shutil.rmtree(committed.root / ".git")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (refused_candidate, "the gate refused the candidate: base_rate is refused"),
        (changed_params, r"here params\.yaml differ from commit"),
        (new_code, r"here stages/new\.py differ from commit"),
        (changed_decision, r"here reports/decision\.json differ from commit"),
        (other_model, r"models/promoted holds model \w{12}, but reports/decision\.json is about"),
        (stale_lock, "the committed dvc.lock does not fit what lies here, of stage promote, train"),
        (altered_card, r"MODEL_CARD\.md was altered or damaged"),
        (no_export, "holds no model; run `make repro`"),
        (no_git, "has no git commit"),
    ],
)
def test_it_refuses_and_moves_nothing(
    harm: Callable[[Committed], None], words: str, committed: Committed
) -> None:
    harm(committed)
    before = files_below(committed.root / "models")
    with pytest.raises(DtiError, match=words):
        committed.act()
    assert committed.named("production") is None
    assert files_below(committed.root / "models") == before


@pytest.mark.parametrize(
    ("environment", "words"),
    [(PROD, "prod promotes nothing by the gate alone"), (STAGING, "was made for environment dev")],
)
def test_the_environment_may_refuse(
    environment: EnvironmentConfig, words: str, committed: Committed
) -> None:
    with pytest.raises(PromotionError, match=words):
        committed.act(environment)


@pytest.mark.parametrize("variable", transitions.EXPERIMENT_VARIABLES)
def test_an_experiment_is_never_promoted(
    variable: str, committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed.promote()
    committed.new_registry()
    monkeypatch.setenv(variable, "tried")
    with pytest.raises(PromotionError, match="choose in conf/ what it tried"):
        committed.act()
    assert committed.first() == ""
    assert committed.named("production") is None


def test_nor_is_the_copy_in_which_a_queue_runs(committed: Committed) -> None:
    copy = committed.root / ".dvc/tmp/exps/standalone/tmp1"
    shutil.copytree(committed.root / "models", copy / "models")
    shutil.copytree(committed.root / "reports", copy / "reports")
    with pytest.raises(PromotionError, match="an experiment is never promoted"):
        promote_committed(copy, DEV, committed.tracking)


def test_whatever_passes_is_the_challenger_and_says_so(
    committed: Committed, caplog: pytest.LogCaptureFixture
) -> None:
    committed.act()
    propose(committed.root, "other")
    with caplog.at_level(logging.INFO):
        committed.decide(TOLERANT)
    assert (committed.named("production"), committed.named("challenger")) == (1, 2)
    assert f"challenger of {REGISTERED} now names version 2 (logistic_regression " in caplog.text
    assert "production stays as it is" in caplog.text
    assert "`make promote`" in caplog.text
    assert "promoted to" not in caplog.text
    propose(committed.root, "base_rate")
    committed.decide()
    assert committed.named("challenger") == 2


def test_a_challenger_that_is_in_production_is_not_to_be_promoted_again(
    committed: Committed, caplog: pytest.LogCaptureFixture
) -> None:
    committed.act()
    with caplog.at_level(logging.INFO):
        committed.decide()
    assert "production names it too" in caplog.text
    assert "make promote" not in caplog.text


def test_two_at_once_register_a_model_once(committed: Committed) -> None:
    committed.new_registry()
    folder = committed.root / PROMOTED
    threads = [
        threading.Thread(target=follow_candidate, args=(committed.tracking, DEV, folder))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert committed.versions() == 1
    assert committed.named("challenger") == 1


def test_first_names_what_the_record_has(committed: Committed) -> None:
    assert "names no model yet; `make promote`" in committed.first()
    committed.act()
    committed.new_registry()
    assert committed.first().endswith("as models/production.json says")
    assert committed.named("production") == 1
    assert committed.first() == ""
    assert len(committed.record()) == 1
    [run] = committed.store.client.search_runs(
        [committed.store.experiment_id("production")], filter_string="params.alias = 'production'"
    )
    path = committed.store.client.download_artifacts(
        run.info.run_id, "decision.json", str(committed.root)
    )
    assert committed.record()[0].commit in json.loads(Path(path).read_text())["summary"]


def test_first_never_moves_an_alias_and_never_names_another_model(committed: Committed) -> None:
    committed.act()
    propose(committed.root, "other")
    committed.decide(TOLERANT)
    assert committed.first() == ""
    assert committed.named("production") == 1
    committed.new_registry()
    said = committed.first()
    assert "which is at most challenger" in said
    assert committed.record()[-1].model_sha256[:12] in said
    assert committed.named("production") is None
    assert committed.first(PROD) == ""


def test_first_names_production_beside_a_refused_candidate(committed: Committed) -> None:
    committed.act()
    propose(committed.root, "base_rate")
    committed.decide()
    committed.new_registry()
    assert "version 1 (logistic_regression" in committed.first()
    sha256 = committed.record()[-1].model_sha256
    assert find_version(committed.store, REGISTERED, sha256) == committed.named("production") == 1


def test_the_command_exits_1_with_the_reason(
    committed: Committed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(promote, "ROOT", committed.root)
    monkeypatch.setattr(promote, "PARAMS", committed.root / "params.yaml")
    tracking = committed.tracking.model_dump()
    params = {"environment": DEV.model_dump(), "tracking": tracking}
    (committed.root / "params.yaml").write_text(json.dumps(params))
    assert promote.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: not promoted: only a committed state is promoted")
    committed.commit()
    assert promote.main(["--first"]) == 0
    assert "names no model yet" in capsys.readouterr().out
    assert promote.main([]) == 0
    captured = capsys.readouterr()
    assert "now names version 1" in captured.out
    assert captured.err == ""
