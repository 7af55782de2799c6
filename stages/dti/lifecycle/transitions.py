"""What follows from a decision outside the pipeline's files: versions, aliases, the record.

Every function here may be called twice, or after a kill, and then finishes what is missing. None
is part of a computation: the stage ``promote`` calls ``follow_candidate`` once its outputs are
written, and ``make promote`` and ``make repro`` call the others.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.dti.artifacts.decision import Decision
from stages.dti.artifacts.export import METRICS_FILE, MODEL, SHORT, WRITTEN_HERE, Export
from stages.dti.artifacts.metrics import Metrics
from stages.dti.artifacts.model import ModelFacts
from stages.dti.artifacts.production import Promotion
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import PromotionError
from stages.dti.evaluation.metrics import RANKING
from stages.dti.files import read_json
from stages.dti.lifecycle.record import MEASURED_ON, add_promotion, before, read_history
from stages.dti.paths import DECISION, PRODUCTION, PROMOTED
from stages.dti.runtime.git import git_commit, uncommitted
from stages.dti.tracking import registry
from stages.dti.tracking.store import Store, configure
from stages.dti.tracking.uri import is_experiment_copy, one_at_a_time, unusable

CHALLENGER = "challenger"

EXPERIMENT_VARIABLES = ("DVC_EXP_BASELINE_REV", "DVC_EXP_NAME")
"""DVC sets them for what it runs as an experiment."""

COMMITTED = ("params.yaml", "conf", "dvc.yaml", "dvc.lock", "stages", DECISION.as_posix())
"""What a promoted state consists of, in git."""

logger = logging.getLogger(__name__)


def follow_candidate(
    tracking: TrackingConfig, environment: EnvironmentConfig, folder: Path
) -> None:
    """Register a candidate that passed the gate, and let ``challenger`` name it.

    The environment's own alias stays where it is, in every kind of run.

    Args:
        folder: the candidate's export.
    """
    store, name = configure(tracking), tracking.registered_model
    export = _export(folder)
    with _at_work(store):
        version = _register(store, name, export)
        moved = registry.set_alias(store, name, CHALLENGER, version)
        promoted = registry.aliased_version(store, name, environment.alias) == version
    logger.info(
        "%s of %s %s version %d (%s); %s",
        CHALLENGER,
        name,
        "now names" if moved else "names",
        version,
        _label(export),
        f"{environment.alias} names it too"
        if promoted
        else f"{environment.alias} stays as it is: to promote this model, commit the state that "
        "made it, then `make promote`",
    )


def promote_committed(root: Path, environment: EnvironmentConfig, tracking: TrackingConfig) -> str:
    """Let the environment's alias name the model of the committed state, on record.

    The registry's alias moves, a run of MLflow's production experiment keeps why and what was
    before, and ``models/production.json`` gets an entry. In an older commit it so rolls back.

    Returns:
        What was done, or that nothing was to do.

    Raises:
        PromotionError: the gate or the environment refuses, or the working state is an
            experiment's, is not committed, or is not what its own files say. Nothing was moved.
    """
    decision = Decision.read(root / DECISION)
    _require_promotable(root, decision, environment)
    export = _decided_export(root, decision)
    store, name, alias = configure(tracking), tracking.registered_model, environment.alias
    with _at_work(store):
        version = registry.find_version(store, name, export.model_sha256)
        named = registry.aliased_version(store, name, alias)
    newest = _is_newest(export, read_history(root / PRODUCTION, alias))
    if newest and version is not None and version == named:
        done = f"{alias} of {name} names version {version} ({_label(export)}) already"
        return done + _to_commit(root)
    commit = _require_committed(root)
    _require_reproduced(root)
    return promote_decided(root, environment, tracking, commit)


def promote_decided(
    root: Path, environment: EnvironmentConfig, tracking: TrackingConfig, commit: str
) -> str:
    """Promote what ``reports/decision.json`` has decided on, whatever git says of it.

    Args:
        commit: of the state, for the record.

    Returns:
        What was done.
    """
    decision = Decision.read(root / DECISION)
    export = _decided_export(root, decision)
    store, name, alias = configure(tracking), tracking.registered_model, environment.alias
    history = read_history(root / PRODUCTION, alias)
    version = _move(store, name, alias, export, decision.plain(), history)
    if not _is_newest(export, history):
        add_promotion(root / PRODUCTION, alias, _promotion(export, decision, commit))
    return f"{alias} of {name} now names version {version} ({_label(export)})" + _to_commit(root)


def name_first(root: Path, environment: EnvironmentConfig, tracking: TrackingConfig) -> str:
    """In a registry whose alias names nothing yet, let it name what the record has in production.

    An alias that names a version is never moved.

    Returns:
        What was done; empty where nothing is to be said.
    """
    export = Export.find(root / PROMOTED)
    if export is None or environment.promotion == "refuse" or _in_experiment(root):
        return ""
    store, name, alias = configure(tracking), tracking.registered_model, environment.alias
    with _at_work(store):
        if registry.aliased_version(store, name, alias) is not None:
            return ""
    history = read_history(root / PRODUCTION, alias)
    if not history:
        return f"{alias} of {name} names no model yet; `make promote` promotes the committed state"
    newest = history[-1]
    if not _is_newest(export, history):
        return (
            f"{alias} of {name} names no model: {PRODUCTION} has {newest.model} "
            f"{newest.model_sha256[:SHORT]} there, and here is {_label(export)}, made from another "
            f"state or on another machine, which is at most {CHALLENGER}; `make promote` promotes "
            "the committed state"
        )
    why = {"summary": f"{PRODUCTION} has it in {alias} since commit {newest.commit}."}
    version = _move(store, name, alias, export, why, history)
    return f"{alias} of {name} names version {version} ({_label(export)}), as {PRODUCTION} says"


def _is_newest(export: Export, history: list[Promotion]) -> bool:
    return bool(history) and history[-1].model_sha256 == export.model_sha256


def _decided_export(root: Path, decision: Decision) -> Export:
    """Return the exported model, which must be the one that was decided on."""
    export = _export(root / PROMOTED)
    expected = decision.candidate.model_sha256
    if export.model_sha256 != expected:
        raise PromotionError(
            f"{PROMOTED} holds model {export.model_sha256[:SHORT]}, but {DECISION} is about "
            f"{expected[:SHORT]}; run `make repro`, or `dvc checkout`"
        )
    return export


def _require_promotable(root: Path, decision: Decision, environment: EnvironmentConfig) -> None:
    if _in_experiment(root):
        raise PromotionError(
            "an experiment is never promoted; choose in conf/ what it tried, `make repro`, commit, "
            "then `make promote`"
        )
    if environment.promotion == "refuse":
        raise PromotionError(
            f"environment {environment.name} promotes nothing by the gate alone; promote in an "
            "environment whose section `environment.promotion` is automatic"
        )
    if decision.environment != environment:
        raise PromotionError(
            f"{DECISION} was made for environment {decision.environment.name}, params.yaml "
            f"says {environment.name} or another alias; run `make repro`, then commit"
        )
    if decision.verdict != "passed":
        raise PromotionError(
            f"the gate refused the candidate: {decision.summary} Improve it, or change the "
            "section `promote`, and run `make repro`"
        )


def _require_committed(root: Path) -> str:
    """Return the commit that the working state is."""
    commit = git_commit(root).commit
    if commit is None:
        raise PromotionError(f"{root} has no git commit; what is promoted must be one: commit it")
    changed = uncommitted(root, COMMITTED)
    if changed:
        raise PromotionError(
            "only a committed state is promoted, so that one can come back to it, and here "
            f"{_listed(changed)} differ from commit {commit[:SHORT]}: commit them, or go back with "
            "`git checkout . && dvc checkout`"
        )
    return commit


def _require_reproduced(root: Path) -> None:
    """Refuse a state whose outputs are not what its dvc.lock, code and parameters say."""
    result = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise PromotionError(f"`dvc status` fails: {result.stderr.strip()}; mend that first")
    changed = []
    for stage, reasons in json.loads(result.stdout).items():
        for reason in reasons:
            files = reason.get("changed deps", {}) if isinstance(reason, dict) else {}
            # The record itself grows with every promotion.
            if set(files) != {PRODUCTION.as_posix()}:
                changed.append(stage)
    if changed:
        raise PromotionError(
            f"the committed dvc.lock does not fit what lies here, of stage "
            f"{_listed(sorted(set(changed)))}: run `make repro` and commit, or `dvc checkout`"
        )


def _move(
    store: Store,
    name: str,
    alias: str,
    export: Export,
    why: Mapping[str, Any],
    history: list[Promotion],
) -> int:
    """Register the export where it is not, and let the alias name it; return the version."""
    with _at_work(store):
        version = _register(store, name, export)
        previous = before(history, export.model_sha256)
        known = None
        if previous is not None:
            known = registry.find_version(store, name, previous.model_sha256)
        registry.promote(store, name, version, alias, why, known)
    return version


def _register(store: Store, name: str, export: Export) -> int:
    """Return the version of the export; the files beside the model are put there anew."""
    metrics = read_json(export.folder / METRICS_FILE)["candidate"]
    version = registry.register(store, name, _model(export), export, metrics)
    for file in WRITTEN_HERE:
        registry.add_file(store, name, version, export.folder / file)
    return version


@contextmanager
def _at_work(store: Store) -> Iterator[None]:
    """One process at a time registers, so that two never register the same model twice."""
    from mlflow.exceptions import MlflowException

    try:
        with one_at_a_time(store.uri):
            yield
    except MlflowException as error:
        raise unusable(store.uri, str(error).partition("\n")[0]) from error


def _model(export: Export) -> str:
    """Return which model it is; an export may be of an earlier format, which had a name too."""
    name: str = read_json(export.folder / MODEL)["name"]
    return name


def _promotion(export: Export, decision: Decision, commit: str) -> Promotion:
    facts = ModelFacts.read(export.folder / MODEL)
    measured = Metrics.read(export.folder / METRICS_FILE).candidate
    return Promotion(
        model=facts.name,
        model_sha256=export.model_sha256,
        dataset=facts.dataset,
        data_sha256={artefact: facts.data_sha256[artefact] for artefact in MEASURED_ON},
        test={"n": measured.n, **{metric: measured.of(metric).value for metric in RANKING}},
        comparison=decision.previous,
        commit=commit,
        promoted_unix_s=int(time.time()),
    )


def _export(folder: Path) -> Export:
    export = Export.find(folder)
    if export is None:
        raise PromotionError(f"{folder} holds no model; run `make repro`")
    return export


def _label(export: Export) -> str:
    return f"{_model(export)} {export.model_sha256[:SHORT]}"


def _in_experiment(root: Path) -> bool:
    return is_experiment_copy(root) or any(name in os.environ for name in EXPERIMENT_VARIABLES)


def _to_commit(root: Path) -> str:
    changed = uncommitted(root, (PRODUCTION.as_posix(), "dvc.lock"))
    return f"; commit {PRODUCTION} and dvc.lock" if changed else ""


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
