"""dvc.yaml against the code: stage names, code dependencies, artefacts read and written."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from code_deps import NEUTRALS, closure, imported_modules, is_code, module_file

from stages.dti import paths as artefacts
from stages.dti.stage import sections_of

REPOSITORY = Path(__file__).resolve().parents[2]
PIPELINE: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]


def names(entries: list[Any]) -> set[str]:
    """Paths of a deps, outs or metrics list; an entry may be a mapping with options."""
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


def calls(stage: str, method: str) -> set[str]:
    """The constants of paths.py that a stage passes to ``paths.<method>``, library included."""
    found = set()
    for file in [f for f in closure(stage) if f.endswith(".py")]:
        for node in ast.walk(ast.parse((REPOSITORY / file).read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == method
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "paths"
                and isinstance(node.args[0], ast.Name)
                and node.args[0].id.isupper()
            ):
                found.add(getattr(artefacts, node.args[0].id).as_posix())
    return found


def test_every_stage_is_a_file_and_every_file_a_stage() -> None:
    files = {path.stem for path in (REPOSITORY / "stages").glob("*.py")} - {"__init__"}
    assert files == set(PIPELINE)


@pytest.mark.parametrize("stage", PIPELINE)
def test_code_dependencies_are_the_import_closure(stage: str) -> None:
    declared = {dep for dep in names(PIPELINE[stage]["deps"]) if is_code(dep)}
    assert declared == set(closure(stage)), "run `make deps`"


def discarded_calls(file: str, module: str) -> tuple[set[int], set[int]]:
    """Lines that use what a file imports from ``module``, and those that only call it."""
    tree = ast.parse((REPOSITORY / file).read_text())
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }
    used = {n.lineno for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in names}
    called = {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id in names
    }
    return used, called


@pytest.mark.parametrize("neutral", NEUTRALS)
def test_stages_use_a_neutral_for_its_refusals_alone(neutral: str) -> None:
    """What a neutral returns is thrown away, so that it cannot change what a stage computes."""
    users = {
        file
        for stage in PIPELINE
        for file in closure(stage)
        if file.endswith(".py") and neutral in imported_modules(Path(file))
    }
    assert users == {"stages/dti/stage.py"}
    for file in users:
        used, called = discarded_calls(file, neutral)
        assert used
        assert used == called


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_neutral_and_what_it_alone_imports_are_no_dependency(stage: str) -> None:
    files = set(closure(stage))
    assert not files & {str(module_file(neutral)) for neutral in NEUTRALS}
    assert "stages/dti/config/rules.py" not in files
    assert "stages/dti/config/serve.py" not in files
    run = importlib.import_module(f"stages.{stage}").run
    own = {kind.__module__.replace(".", "/") + ".py" for kind in sections_of(run).values()}
    assert own <= files


def test_acquire_depends_on_the_sections_that_it_reads() -> None:
    config = {Path(file).stem for file in closure("acquire") if "/config/" in file}
    assert config == {"acquire", "base", "dataset", "execution"}


@pytest.mark.parametrize("stage", PIPELINE)
def test_outs_are_what_the_stage_writes(stage: str) -> None:
    entry = PIPELINE[stage]
    assert names(entry["outs"] + entry.get("metrics", [])) == calls(stage, "write")


def test_the_summary_alone_is_a_dvc_metric() -> None:
    """Whole trees would make `dvc metrics show` and `dvc exp show` hundreds of columns wide."""
    metrics = {name for entry in PIPELINE.values() for name in names(entry.get("metrics", []))}
    assert metrics == {artefacts.SUMMARY.as_posix()}


@pytest.mark.parametrize("stage", PIPELINE)
def test_data_dependencies_are_what_the_stage_reads(stage: str) -> None:
    entry = PIPELINE[stage]
    declared = {dep for dep in names(entry["deps"]) if not is_code(dep)}
    own = names(entry["outs"] + entry.get("metrics", []))
    read = calls(stage, "read") - own
    if stage == "acquire":
        read.add(artefacts.SAMPLE.as_posix())  # through the url of the embedded source
    if stage == "prepare":
        read.add(artefacts.VALIDATION_METRICS.as_posix())  # so that a failed check stops here
    assert declared == read


@pytest.mark.parametrize("stage", PIPELINE)
def test_commands_read_the_composed_params(stage: str) -> None:
    assert PIPELINE[stage]["cmd"] == f"python -m stages.{stage} ${{hydra}}"


def test_import_rules_hold() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert result.returncode == 0, result.stdout


def test_library_modules_have_no_import_time_side_effects() -> None:
    """At module level: definitions, imports and constants; no bare call, no loop, no with."""
    allowed = (
        ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign
        | ast.AnnAssign | ast.AugAssign | ast.AsyncFunctionDef
    )  # fmt: skip
    offending = []
    for path in sorted((REPOSITORY / "stages").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            guard = isinstance(node, ast.If) and ast.unparse(node.test) in (
                "TYPE_CHECKING",
                "__name__ == '__main__'",
            )
            if not (isinstance(node, allowed) or docstring or guard):
                offending.append(f"{path.relative_to(REPOSITORY)}:{node.lineno}")
    assert offending == []


def test_nothing_loads_or_stores_pickle() -> None:
    forbidden = ("import pickle", "joblib.load", "torch.load(", "torch.save(", "allow_pickle=True")
    offending = [
        f"{path.relative_to(REPOSITORY)}: {word}"
        for folder in ("stages", "serve")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        for word in forbidden
        if word in path.read_text()
    ]
    assert offending == []
