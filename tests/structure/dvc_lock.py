"""Whether dvc.lock belongs to what stands beside it: dvc.yaml, params.yaml, code and reports.

``python tests/structure/dvc_lock.py`` (``make check-lock``) compares what git holds, so that it
answers in a fresh clone, without data, cache or remote, in which ``dvc status`` calls every output
deleted. Of an output in the cache only the recorded hash is known: it has to be the one that the
next stage read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.output import Output
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.utils.serialize import load_yaml

ADVICE = (
    "dvc.lock does not belong to this commit: run `make repro`, then commit dvc.lock and reports/."
)


def changed_params(dependency: ParamsDependency) -> Iterator[str]:
    """Yield each value that differs, by its full name."""
    locked = flat(dependency.hash_info.value or {})
    written = flat(dependency.read_params())
    for name in sorted(locked.keys() | written.keys()):
        before, now = (side.get(name, "missing") for side in (locked, written))
        if before != now:
            yield f"{name} is {now} in {dependency.def_path}, {before} in dvc.lock"


def flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings and lists as one mapping of dotted names."""
    if isinstance(values, list):
        values = {str(index): value for index, value in enumerate(values)}
    if not isinstance(values, dict) or not values:
        return {prefix: values}
    return {
        name: value
        for key, inner in values.items()
        for name, value in flat(inner, f"{prefix}.{key}" if prefix else key).items()
    }


def changed_files(stage: PipelineStage, produced: dict[str, Output]) -> Iterator[str]:
    """Yield each dependency and each output in git whose content is not the recorded one."""
    for dependency in stage.deps:
        if isinstance(dependency, ParamsDependency):
            yield from changed_params(dependency)
        elif not dependency.hash_info:
            yield f"{dependency.def_path} is new in dvc.yaml"
        elif dependency.fs_path not in produced:
            yield from (f"{dependency.def_path} is {word}" for word in dependency.status().values())
        elif dependency.hash_info != produced[dependency.fs_path].hash_info:
            maker = produced[dependency.fs_path].stage.name
            yield f"{dependency.def_path} is not the one that {maker} made"
    for output in stage.outs:
        if not output.hash_info:
            yield f"{output.def_path} is new in dvc.yaml"
        elif not output.use_cache:
            for word in output.workspace_status().values():
                yield f"{output.def_path} is {word} since {stage.name} wrote it"


def left_over(stage: PipelineStage, locked: dict[str, Any]) -> Iterator[str]:
    """Yield what dvc.lock records and dvc.yaml no longer names."""
    for kind, declared in (("deps", stage.deps), ("outs", stage.outs)):
        recorded = {entry["path"] for entry in locked.get(kind, [])}
        for path in sorted(recorded - {item.def_path for item in declared}):
            yield f"{path} is no longer in dvc.yaml"
    sections = {name for item in stage.params for name in item.params}
    recorded = {name for values in locked.get("params", {}).values() for name in values}
    for name in sorted(recorded - sections):
        yield f"section {name} is no longer in dvc.yaml"


def differences(root: Path) -> list[str]:
    """Return one line for each thing that differs, the stage first; none if dvc.lock fits."""
    path = root / "dvc.lock"
    recorded = load_yaml(path)["stages"] if path.exists() else {}
    found = []
    with Repo(root) as repo:
        stages: list[PipelineStage] = sorted(repo.index.stages, key=lambda stage: stage.name)
        produced = {output.fs_path: output for stage in stages for output in stage.outs}
        for stage in stages:
            name, locked = stage.name, recorded.pop(stage.name, None)
            if locked is None:
                found.append(f"{name}: has never run")
                continue
            if stage.changed_stage():
                found.append(f"{name}: its command is another in dvc.yaml")
            lines = [*changed_files(stage, produced), *left_over(stage, locked)]
            found += [f"{name}: {line}" for line in lines]
    return found + [f"{name}: is no longer in dvc.yaml" for name in sorted(recorded)]


if __name__ == "__main__":
    if found := differences(Path.cwd()):
        sys.exit("\n".join([*found, "", ADVICE]))
