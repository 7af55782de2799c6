"""How far a run came to the committed figures.

Compares every number of ``reports/*.json`` as the last commit has them with those that the run
wrote, and says so in one line. It changes nothing, and a difference is no failure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.dti.errors import ConfigError
from stages.dti.paths import ROOT
from stages.dti.runtime.git import git_output

REPORTS = "reports"
PARAMETERS = "params.yaml"

RANDOM = 0.01
"""A difference up to here is one of arithmetic: another seed changes the sample's AUROC by 0.02."""


@dataclass(frozen=True)
class Difference:
    """A number that came out otherwise.

    Attributes:
        name: file and keys, ``metrics.json candidate.auroc.value``.
        committed, found: ``None`` where there is no such number.
    """

    name: str
    committed: float | None
    found: float | None

    @property
    def size(self) -> float:
        """Absolute difference; infinite where one of the two is missing."""
        if self.committed is None or self.found is None:
            return math.inf
        return abs(self.found - self.committed)


def compare(committed: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[int, list[Difference]]:
    """Return how many committed numbers there are, and those that differ, the largest first.

    Args:
        committed, found: file name → what the JSON file holds.
    """
    before, after = dict(_numbers(committed)), dict(_numbers(found))
    differences = [
        Difference(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return len(before), sorted(differences, key=lambda difference: -difference.size)


def summary(committed: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return one line: how many figures are equal, the largest difference, what it means."""
    count, differences = compare(committed, found)
    if not differences:
        return f"All {count} committed figures were reproduced exactly."
    moved = [difference for difference in differences if math.isfinite(difference.size)]
    gone = sum(difference.found is None for difference in differences)
    new = sum(difference.committed is None for difference in differences)
    parts = [f"{count - len(moved) - gone} of {count} committed figures were reproduced exactly"]
    if moved:
        largest = moved[0]
        parts.append(
            f"the largest difference of the other {len(moved)} is {largest.size:.2g} "
            f"({largest.name}: {largest.committed:g} → {largest.found:g})"
        )
    if gone or new:
        parts.append(f"{gone} are missing and {new} are new")
        meaning = "code or data differ from the commit's, so the figures are other ones"
    elif moved[0].size <= RANDOM:
        meaning = (
            "another processor rounds otherwise, and conclusions stand unless they hang on a "
            "difference of that size"
        )
    else:
        meaning = (
            "more than rounding: on another processor a network trained in bf16 becomes another "
            "one, as with another seed; on the same one, look for what changed"
        )
    return f"{'; '.join(parts)}: {meaning}."


def reproduction(root: Path = ROOT) -> str:
    """Return the line for the repository at ``root``.

    Raises:
        ConfigError: a file is no JSON.
    """
    head = git_output(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if head is None:
        return "There is no commit to compare the figures with."
    if not (root / PARAMETERS).is_file():
        raise ConfigError(f"{PARAMETERS} does not exist; run `make repro`, which composes it")
    if (root / PARAMETERS).read_text(encoding="utf-8") != git_output(
        root, "show", f"HEAD:{PARAMETERS}"
    ):
        return (
            "The figures are those of another configuration than the committed one "
            f"({PARAMETERS} differs): `dvc metrics diff` compares them."
        )
    names = (git_output(root, "ls-tree", "--name-only", "HEAD", f"{REPORTS}/") or "").splitlines()
    committed = {
        Path(name).name: _parsed(name, git_output(root, "show", f"HEAD:{name}") or "")
        for name in names
        if name.endswith(".json")
    }
    if not committed:
        return f"The last commit holds no {REPORTS}/*.json to compare the figures with."
    found = {
        name: _parsed(name, (root / REPORTS / name).read_text(encoding="utf-8"))
        for name in committed
        if (root / REPORTS / name).is_file()
    }
    return summary(committed, found)


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the name and value of each number below ``value``."""
    match value:
        case bool():
            return
        case int() | float():
            yield name, value
        case Mapping():
            # The first key is a file's name.
            glue = "" if not name else " " if "." in name and " " not in name else "."
            for key, item in value.items():
                yield from _numbers(item, f"{name}{glue}{key}")
        case list():
            for position, item in enumerate(value):
                yield from _numbers(item, f"{name}[{position}]")


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name} is no JSON ({error}); run `dvc repro` anew") from error
