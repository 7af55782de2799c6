"""dvc.yaml against the code: stage names, code dependencies, artefacts read and written."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.dti import paths as artefacts
from tests.structure.code_deps import (
    EXCEPTIONS,
    NEUTRALS,
    closure,
    dependencies,
    imported_modules,
    is_code,
    is_neutral,
    module_file,
)

REPOSITORY = Path(__file__).resolve().parents[2]
PIPELINE: dict[str, Any] = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())["stages"]


def names(entries: list[Any]) -> set[str]:
    """Paths of a deps, outs or metrics list; an entry may be a mapping with options."""
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


def calls(stage: str, method: str) -> set[str]:
    """The constants of paths.py that a stage passes to ``paths.<method>``, library included."""
    found = set()
    for file in closure(stage):
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
def test_code_dependencies_are_the_rooms_of_the_import_closure(stage: str) -> None:
    declared = [dep for dep in PIPELINE[stage]["deps"] if is_code(dep)]
    assert declared == dependencies(stage), "run `make deps`"


MAY_BE_IMPORTED = {"artifacts", "hashing"}
"""What a neutral may import beside neutrals and what computes nothing: files of known form."""

COMPUTES = {"numpy", "pandas", "pyarrow", "scipy", "sklearn", "torch", "lightgbm", "rdkit"}
"""Libraries that a result is computed with."""


def neutral_files() -> list[Path]:
    """Every file of every neutral."""
    found = []
    for neutral in NEUTRALS:
        base = Path(*neutral.split("."))
        folder = REPOSITORY / base
        found += folder.rglob("*.py") if folder.is_dir() else [folder.with_suffix(".py")]
    return [file.relative_to(REPOSITORY) for file in sorted(found)]


def improper_imports(code: str) -> set[str]:
    """What a neutral with this code imports that could change a result."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        modules = (
            [str(node.module)] if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else []
        )  # fmt: skip
        for module in modules:
            parts = module.split(".")
            ours = parts[:2] == ["stages", "dti"]
            if (
                ours
                and not is_neutral(module)
                and module not in EXCEPTIONS
                and parts[2] not in MAY_BE_IMPORTED
            ):
                found.add(module)
            if parts[0] in COMPUTES:
                found.add(module)
    return found


@pytest.mark.parametrize("file", neutral_files(), ids=str)
def test_a_neutral_computes_nothing(file: Path) -> None:
    assert improper_imports((REPOSITORY / file).read_text()) == set()


def test_a_neutral_that_computed_would_be_told() -> None:
    assert improper_imports("import torch.nn") == {"torch.nn"}
    assert improper_imports("from stages.dti.evaluation.metrics import x") == {
        "stages.dti.evaluation.metrics"
    }
    assert improper_imports("from stages.dti.errors import DataError") == set()


READ_AS_THEY_STAND = {
    "DatasetConfig.name": "the names of the sources, as they are written",
    "ExecutionConfig.limit_s": "seconds that a stage may last",
}
"""What sections answer beside their values, with the reason why it decides no result."""


def computed(module: str, code: str) -> set[str]:
    """The public methods and properties of a section that are no check of its values."""
    return {
        f"{section.name}.{function.name}"
        for section in ast.walk(ast.parse(code))
        if isinstance(section, ast.ClassDef) and module not in EXCEPTIONS
        for function in section.body
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_")
    }


@pytest.mark.parametrize("file", sorted((REPOSITORY / "stages/dti/config").glob("*.py")), ids=str)
def test_a_section_computes_nothing(file: Path) -> None:
    """A stage does not depend on it, so what it computed would not be computed anew."""
    module = ".".join(file.relative_to(REPOSITORY).with_suffix("").parts)
    assert computed(module, file.read_text()) <= READ_AS_THEY_STAND.keys()


def test_a_section_that_computed_would_be_told() -> None:
    code = "class SplitConfig:\n    def folds(self): ...\n    def _sums_to_one(self): ..."
    assert computed("stages.dti.config.other", code) == {"SplitConfig.folds"}
    assert computed("stages.dti.config.split", code) == set()


@pytest.mark.parametrize("stage", PIPELINE)
def test_no_neutral_is_a_dependency(stage: str) -> None:
    modules = [".".join(Path(dep).with_suffix("").parts) for dep in dependencies(stage)]
    assert not [module for module in modules if is_neutral(module)]


@pytest.mark.parametrize("option", sorted((REPOSITORY / "conf/model").glob("*.yaml")), ids=str)
def test_a_model_depends_on_the_room_that_fits_it(option: Path) -> None:
    """``model.code`` stands in dvc.yaml for the rooms of ``CHOSEN``, and covers what is needed."""
    from stages.dti.models.registry import model_class

    content = yaml.safe_load(option.read_text())
    room = (Path("stages/dti/models") / content["code"]).as_posix()
    if content["name"] == "ensemble":
        assert room == "stages/dti/models"
    else:
        fits = module_file(model_class(content["name"]).__module__)
        assert fits is not None
        assert room == fits.parent.as_posix()


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


def stage_scripts_imported(file: Path) -> set[str]:
    """The stage scripts that a file imports."""
    return {
        module
        for module in imported_modules(file)
        if module != "stages" and not module.startswith("stages.dti")
    }


def test_stage_scripts_meet_through_files_alone() -> None:
    """Neither another script nor the library imports one; a new stage needs no line for that."""
    files = [path.relative_to(REPOSITORY) for path in (REPOSITORY / "stages").rglob("*.py")]
    assert {str(file): found for file in files if (found := stage_scripts_imported(file))} == {}


def test_an_import_of_a_stage_script_would_be_told() -> None:
    user = REPOSITORY / "tests/unit/stages/test_report.py"
    support = REPOSITORY / "tests/support/reported_results.py"
    assert stage_scripts_imported(support.relative_to(REPOSITORY)) == {"stages.report"}
    assert stage_scripts_imported(user.relative_to(REPOSITORY)) == set()


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
