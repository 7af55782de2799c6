"""The modules that a stage imports, and their place in dvc.yaml.

``python tests/structure/code_deps.py`` (``make deps``) rewrites the code dependencies of every
stage in dvc.yaml; the test beside this file compares them.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

NEUTRALS = {"stages.dti.config.schema": "check() refuses a run or does nothing"}
"""Modules that can refuse a run, but never change its result, with the reason.

They are no code dependency, and what they import is not followed through them.
"""

REPOSITORY = Path(__file__).resolve().parents[2]


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


def package_data(path: Path) -> list[Path]:
    """Return the files in ``templates/`` beside a module: it reads them."""
    folder = REPOSITORY / path.parent / "templates"
    kinds = (".html", ".css", ".j2")
    return [
        file.relative_to(REPOSITORY) for file in sorted(folder.rglob("*")) if file.suffix in kinds
    ]


def has_code(path: Path) -> bool:
    """Whether a file holds more than a docstring."""
    body = ast.parse((REPOSITORY / path).read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Expr) for node in body)


def closure(stage: str) -> list[str]:
    """Return the files that decide what a stage does, sorted: its script and all it imports."""
    waiting, seen = [f"stages.{stage}"], set()
    while waiting:
        module = waiting.pop()
        if module in NEUTRALS:
            continue
        path = module_file(module)
        if path is None or path in seen:
            continue
        seen.add(path)
        waiting += imported_modules(path)
    data = {file for path in seen for file in package_data(path) if path.parent != Path("stages")}
    return sorted(path.as_posix() for path in seen | data if path.suffix != ".py" or has_code(path))


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
        stage["deps"].extend([*data, *closure(name)])
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(pipeline, stream)


if __name__ == "__main__":
    rewrite()
