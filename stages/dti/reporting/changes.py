"""The committed results of two commits, and what differs between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stages.dti.errors import DataError
from stages.dti.paths import (
    DECISION,
    FEATURIZE_METRICS,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    SCREENING_METRICS,
    SUMMARY,
    TRAINING_METRICS,
    VALIDATION_METRICS,
)
from stages.dti.reporting.summary import FIGURES
from stages.dti.runtime.git import git_output

LOCK = Path("dvc.lock")
PARAMETERS = Path("params.yaml")
RESULTS = (
    METRICS,
    DECISION,
    TRAINING_METRICS,
    LEAKAGE,
    PREPARE_METRICS,
    VALIDATION_METRICS,
    FEATURIZE_METRICS,
    SCREENING_METRICS,
)

Read = Callable[[Path], str | None]
"""Returns a file's text by its path in the repository, ``None`` where there is no such file."""


@dataclass(frozen=True)
class Results:
    """What a commit says of its run.

    Attributes:
        summary: figure → what ``reporting/summary.py`` writes of it; empty where there is none.
        decision_summary: the gate's decision in words.
        parameters: dotted name → value.
        metrics: file and dotted name → value.
        hashes: path → md5 of a pipeline's output.
    """

    summary: dict[str, dict[str, Any]]
    decision_summary: str
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    hashes: dict[str, str]


@dataclass(frozen=True)
class Change:
    """A value that differs; ``None`` where there is none."""

    name: str
    old: Any
    new: Any


def present_results(root: Path) -> Results:
    """Return the results in a working tree.

    Raises:
        DataError: there is no summary, or a file is broken.
    """

    def read(path: Path) -> str | None:
        file = root / path
        return file.read_text(encoding="utf-8") if file.is_file() else None

    results = _results(read, "the working tree")
    if not results.summary:
        raise DataError(f"{SUMMARY} does not exist under {root}; run `dvc repro`, which makes it")
    return results


def committed_results(root: Path, revision: str) -> Results:
    """Return the results that a commit holds.

    Raises:
        DataError: there is no such commit, or a file in it is broken.
    """

    name = f"{revision}^{{commit}}"
    commit = git_output(root, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    if commit is None:
        raise DataError(
            f"{root} holds no commit {revision!r}; fetch it: `git fetch origin {revision}`"
        )

    def read(path: Path) -> str | None:
        return git_output(root, "show", f"{commit.strip()}:./{path.as_posix()}")

    return _results(read, f"commit {revision}")


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return what differs, sorted by name."""
    return [
        Change(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _results(read: Read, where: str) -> Results:
    def parsed(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
        text = read(path)
        try:
            values = {} if text is None else parse(text)
        except (json.JSONDecodeError, yaml.YAMLError) as error:
            raise DataError(f"{path} of {where} cannot be read: {error}") from error
        if not isinstance(values, dict):
            raise DataError(f"{path} of {where} holds no mapping; run `dvc repro`")
        return values

    figures = {name: parsed(SUMMARY / f"{name}.json", json.loads) for name in FIGURES}
    lock = parsed(LOCK, yaml.safe_load)
    return Results(
        summary={name: figure for name, figure in figures.items() if figure},
        decision_summary=parsed(DECISION, json.loads).get("summary", ""),
        parameters=dict(_leaves(parsed(PARAMETERS, yaml.safe_load))),
        metrics={
            f"{path.name} {name}": value
            for path in RESULTS
            for name, value in _leaves(parsed(path, json.loads))
        },
        hashes={
            out["path"]: out["md5"]
            for stage in lock.get("stages", {}).values()
            for out in stage.get("outs", [])
        },
    )


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(value, dict) and value:
            yield from _leaves(value, name)
        else:
            yield name, value
