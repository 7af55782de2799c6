"""requirements.lock against pyproject.toml and against what is installed in this environment."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[2]
CUDA = "requirements-cuda.lock"


def pins(file: str) -> dict[str, Version]:
    """The pinned version of each package of a lock file."""
    lines = (REPOSITORY / file).read_text().splitlines()
    parts = [line.split("==") for line in lines if not line.startswith(("#", "-c "))]
    return {canonicalize_name(name): Version(version) for name, version in parts}


LOCK = pins("requirements.lock")
ALL = LOCK | pins(CUDA)


def installed(name: str) -> Version | None:
    """The version of a package in this environment."""
    try:
        return Version(distribution(name).version)
    except PackageNotFoundError:
        return None


def unmet(name: str) -> list[str]:
    """What an installed package requires on this machine and the environment does not give it."""
    found = []
    for text in distribution(name).requires or []:
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        there = installed(needed.name)
        if there is None or not needed.specifier.contains(there, prereleases=True):
            found.append(f"{name} needs {needed}, installed is {there}")
        if canonicalize_name(needed.name) not in ALL:
            found.append(f"{name} needs {needed}, which no lock file pins")
    return found


def test_the_lock_takes_the_cuda_libraries_as_constraints_only() -> None:
    assert f"-c {CUDA}" in (REPOSITORY / "requirements.lock").read_text().splitlines()
    assert not [name for name in LOCK if name.startswith(("nvidia", "cuda", "triton"))]
    assert "nvidia-cudnn-cu13" in ALL


def wanted() -> list[Requirement]:
    """What pyproject.toml asks for, every extra included."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def test_the_lock_meets_every_requirement_of_the_project() -> None:
    for needed in wanted():
        pinned = LOCK.get(canonicalize_name(needed.name))
        assert pinned, f"{needed}: run `make lock`"
        assert needed.specifier.contains(pinned), f"{needed}, locked {pinned}: run `make lock`"


def test_what_is_installed_is_what_is_locked_and_lacks_nothing() -> None:
    """The CUDA libraries may be missing, but not where the installed torch asks for them."""
    present = {name: installed(name) for name in ALL}
    different = {
        name: f"{version}, locked {ALL[name]}"
        for name, version in present.items()
        if (name in LOCK or version) and (not version or Version(version.public) != ALL[name])
    }
    assert different == {}, "run `make setup`"
    assert [line for name in ALL if present[name] for line in unmet(name)] == []


@pytest.mark.slow
def test_every_package_that_the_project_asks_for_can_be_imported() -> None:
    """In a process of its own, torch and its libraries first."""
    asked = {canonicalize_name(needed.name) for needed in wanted()}
    modules = sorted(
        module
        for module, owners in packages_distributions().items()
        if module.isidentifier() and asked & {canonicalize_name(owner) for owner in owners}
    )
    assert {"torch", "dvc", "mlflow", "ray", "transformers", "litserve", "Bio"} <= set(modules)
    script = "import " + "\nimport ".join(["torch", *modules])
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_nothing_installs_without_what_it_needs() -> None:
    """Without them the CUDA build of torch is installed, and cannot be imported."""
    files = ["Makefile", "README.md", "CONTRIBUTING.md", ".ci/run"]
    files += [str(path) for path in (REPOSITORY / ".github").rglob("*.yml")]
    assert [file for file in files if "--no-deps" in (REPOSITORY / file).read_text()] == []
