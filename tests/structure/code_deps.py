"""The code that a stage depends on, and its place in dvc.yaml.

A room, that is a folder of the library without folders in it, is a unit: what stands in it changes
together, and a stage that imports one of its files depends on the folder. A file that stands beside
rooms is a unit by itself. ``python tests/structure/code_deps.py`` (``make deps``) rewrites the code
dependencies of every stage in dvc.yaml; the test beside this file compares them.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parents[2]

NEUTRALS = {
    "stages.dti.errors": "words of a refusal",
    "stages.dti.files": "writes what it is given, whole or not at all",
    "stages.dti.paths": "says where an artefact lies; the artefact itself is a dependency",
    "stages.dti.runtime": "starts, logs and ends a process",
    "stages.dti.tracking": "records what was done elsewhere",
    "stages.dti.config": "refuses a value or passes it on; the value is a declared parameter",
    "stages.dti.artifacts": "refuses a file or passes it on; the file is a dependency",
}
"""Code that can refuse a run, but never change its result, with the reason.

It is no dependency of any stage, and what it imports is not followed through it. What a neutral may
import, and so do, a test says.
"""

EXCEPTIONS = {
    "stages.dti.artifacts.export": "says which files are a model's own, so what its identity is",
    "stages.dti.artifacts.model_files": "computes the identity of a model",
    "stages.dti.config.split": "computes how many folds there are",
}
"""Files of a neutral that decide a result, with the reason; each is a unit by itself."""

PARTS = {
    ("baselines", "stages/dti/training"): "what trains the network is the most of it",
    ("baselines", "stages/dti/prediction"): "writes a model's folder, and predicts nothing",
    ("train", "stages/dti/prediction"): "writes a model's folder, and predicts nothing",
}
"""Rooms of which a stage depends on the files that it imports, and not on the others, and why."""

CHOSEN = {
    "train": {
        "stages/dti/models/${model.code}": {
            "stages/dti/models/classical",
            "stages/dti/models/drugban",
        }
    }
}
"""Rooms of which the configuration says which one the stage needs: as dvc.yaml names it → all."""


def module_file(module: str) -> Path | None:
    """Return the file of a module of this repository, relative to it, or ``None``."""
    base = Path(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if (REPOSITORY / path).is_file():
            return path
    return None


@cache
def imported_modules(path: Path) -> frozenset[str]:
    """Return every ``stages`` module that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}: relative imports are not followed; name the module")
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(name for name in names if name.split(".")[0] == "stages" and module_file(name))
    return frozenset(found)


def is_neutral(module: str) -> bool:
    """Whether a module is one of ``NEUTRALS``, or stands in a room that is."""
    if module in EXCEPTIONS:
        return False
    return any(module == neutral or module.startswith(f"{neutral}.") for neutral in NEUTRALS)


def closure(stage: str) -> list[Path]:
    """Return the files that decide what a stage does, sorted: its script and all it imports."""
    waiting, seen = [f"stages.{stage}"], set()
    while waiting:
        module = waiting.pop()
        path = module_file(module)
        if path is None or path in seen or is_neutral(module):
            continue
        seen.add(path)
        waiting += imported_modules(path)
    return sorted(path for path in seen if has_code(path))


def has_code(path: Path) -> bool:
    """Whether a file holds more than a docstring."""
    body = ast.parse((REPOSITORY / path).read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Expr) for node in body)


@cache
def is_room(folder: Path) -> bool:
    """Whether a folder holds no other package: then it is a unit."""
    return folder != Path("stages") and not any((REPOSITORY / folder).glob("*/__init__.py"))


def dependencies(stage: str) -> list[str]:
    """Return the code dependencies of a stage, as dvc.yaml has them: rooms and files, sorted."""
    found = set()
    for file in closure(stage):
        room = file.parent.as_posix()
        own = ".".join(file.with_suffix("").parts) in EXCEPTIONS or (stage, room) in PARTS
        whole = is_room(file.parent) and not own
        found.add(room if whole else file.as_posix())
    for chosen, rooms in CHOSEN.get(stage, {}).items():
        found = (found - rooms) | {chosen}
    return sorted(found)


def is_code(dependency: str) -> bool:
    """Whether a dependency in dvc.yaml is code of ours."""
    return dependency.startswith("stages/")


def rewrite() -> None:
    """Write every stage's code dependencies into dvc.yaml, after its data dependencies."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = REPOSITORY / "dvc.yaml"
    pipeline = yaml.load(path)
    for name, stage in pipeline["stages"].items():
        data = [dep for dep in stage.get("deps", []) if not is_code(dep)]
        stage["deps"].clear()
        stage["deps"].extend([*data, *dependencies(name)])
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(pipeline, stream)


if __name__ == "__main__":
    rewrite()
