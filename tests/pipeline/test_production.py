"""Which model ``production`` and ``challenger`` name after each act. Slow: it runs the pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.dti.tracking.registry import aliased_version
from stages.dti.tracking.store import configure
from tests.support.tiny_repository import TinyRepository
from tests.support.tracking_section import tracking_at

pytestmark = pytest.mark.slow

NAME = "drug_target_interaction"


class Lifecycle:
    """A tiny repository, and what its registry says after each act."""

    def __init__(self, repository: TinyRepository) -> None:
        self.repository = repository
        self.table: list[tuple[str, str, str]] = []

    def named(self, alias: str) -> str:
        """Return the version that an alias names and its model, such as ``1 drugban``."""
        store = configure(tracking_at(f"sqlite:///{self.repository.root}/mlflow.db"))
        version = aliased_version(store, NAME, alias)
        if version is None:
            return "nothing"
        tags = store.client.get_model_version(NAME, str(version)).tags
        return f"{version} {tags['model']}"

    def after(self, act: str, *commands: str) -> tuple[str, str]:
        """Run commands; return and note what ``production`` and ``challenger`` name then."""
        for command in commands:
            self.repository.run("bash", "-c", command)
        found = self.named("production"), self.named("challenger")
        self.table.append((act, *found))
        return found

    def commit(self, message: str) -> str:
        """Commit everything and return the commit."""
        self.repository.run("git", "add", "-A")
        self.repository.run("git", "commit", "-q", "-m", message)
        return self.repository.run("git", "rev-parse", "HEAD").stdout.strip()

    def refused(self, words: str, **environment: str) -> None:
        """Check that ``make promote`` refuses, says why and leaves production alone."""
        before = self.named("production")
        result = self.repository.run(*PROMOTE.split(), check=False, **environment)
        assert result.returncode != 0
        assert words in result.stderr, result.stderr
        assert self.named("production") == before


# The environment is the tests' own: nothing is to be set up.
REPRO, PROMOTE = "make -s -o setup repro", "make -s -o setup promote"


def test_production_moves_by_make_promote_alone(
    built: TinyRepository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built.run("git", "clone", "-q", str(built.root), str(tmp_path / "repository"))
    cycle = Lifecycle(TinyRepository(tmp_path / "repository"))
    after: Callable[..., tuple[str, str]] = cycle.after
    run = cycle.repository.run

    none, first, boosted = "nothing", "1 drugban", "2 gradient_boosting"
    assert after("make repro, empty record and registry", REPRO) == (none, first)
    assert run("git", "status", "--porcelain").stdout == ""

    assert after("make promote", PROMOTE) == (first, first)
    old = cycle.commit("Promote drugban")
    assert after("make promote again", PROMOTE) == (first, first)
    assert after("make repro again", REPRO) == (first, first)
    assert after("dvc repro -f promote", "dvc repro -f --single-item promote") == (first, first)
    assert run("git", "status", "--porcelain").stdout == ""

    experiment = "dvc exp run -S model=gradient_boosting"
    assert after("dvc exp run -S model=gradient_boosting", experiment) == (first, boosted)
    cycle.refused("only a committed state is promoted")
    cycle.refused("an experiment is never promoted", DVC_EXP_NAME="tried")
    queued = "dvc exp run --queue -S model=logistic_regression && dvc exp run --run-all"
    cleaned = "git checkout -q . && dvc checkout -q"
    assert after("dvc exp run --queue, --run-all", cleaned, queued) == (
        first, "3 logistic_regression",
    )  # fmt: skip
    multirun = "python -m stages.promote -m promote.golden_pairs=1,2"
    assert after("multirun of stages.promote", multirun) == (first, first)
    assert run("git", "status", "--porcelain").stdout == ""

    chosen = "sed -i 's/- model: drugban/- model: gradient_boosting/' conf/config.yaml"
    assert after("model: gradient_boosting in conf/, make repro", chosen, REPRO) == (first, boosted)
    cycle.commit("Gradient boosting")
    assert after("make promote", PROMOTE) == (boosted, boosted)
    cycle.commit("Promote gradient boosting")
    record = json.loads((cycle.repository.root / "models/production.json").read_text())
    assert [entry["model"] for entry in record["production"]] == ["drugban", "gradient_boosting"]

    checkout = f"git checkout -q {old} && dvc checkout -q"
    assert after("git checkout OLD && dvc checkout", checkout) == (boosted, boosted)
    assert after("make promote there: roll back", PROMOTE) == (first, boosted)
    back = "git checkout -q main && dvc checkout -q"
    assert after("git checkout main && dvc checkout", back) == (first, boosted)
    assert after("make promote there", PROMOTE) == (boosted, boosted)
    assert run("git", "status", "--porcelain").stdout == ""

    run("git", "clone", "-q", str(cycle.repository.root), str(tmp_path / "clone"))
    clone = Lifecycle(TinyRepository(tmp_path / "clone"))
    cache = f"dvc cache dir --local {cycle.repository.root}/.dvc/cache && dvc checkout -q"
    named = "1 gradient_boosting"
    found = clone.after("make repro in a new clone, empty registry", cache, REPRO)
    assert found == (named, none)  # nothing was to be run, so no candidate passed here
    assert clone.repository.run("git", "status", "--porcelain").stdout == ""

    with capsys.disabled():  # the table that says it all
        print()
        for row in (("after", "production", "challenger"), *cycle.table, *clone.table):
            print("{:<45}{:<24}{}".format(*row))
