"""The tests themselves: where each one stands, and what is no test."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

ROOMS = {
    "stages": ("stages",),
    "benchmarks": ("tests/benchmarks", "tests/reference"),
}
"""Folders of tests/unit that are no rooms of the library → where what they test stands."""

SHELVES = {"benchmarks", "reference", "structure", "support"}
"""Folders of tests/ with modules that are no tests."""


def misplaced(root: Path) -> list[str]:
    """Return the files of ``tests/unit`` whose place or name says nothing of what they test.

    ``tests/unit/<room>/test_<module>.py`` and ``test_<module>_<aspect>.py`` test a module of
    ``stages/dti/<room>/``; a test of several of its modules has the room's own name.
    """
    found = []
    for path in sorted((root / "tests/unit").rglob("test_*.py")):
        place = path.relative_to(root / "tests/unit").parent
        folders = ROOMS.get(place.as_posix(), (f"stages/dti/{place.as_posix()}",))
        names = {place.name} | {
            module.stem for folder in folders for module in (root / folder).glob("*.py")
        }
        if not any(f"{path.stem}_".startswith(f"test_{name}_") for name in names if name):
            found.append(path.relative_to(root).as_posix())
    return found


def strangers(root: Path) -> list[str]:
    """Return the modules beside tests that are none: a helper stands in ``tests/support/``."""
    return [
        path.relative_to(root).as_posix()
        for path in sorted((root / "tests").rglob("*.py"))
        if path.relative_to(root / "tests").parts[0] not in SHELVES
        and not path.name.startswith("test_")
        and path.name != "conftest.py"
    ]


def test_unit_tests_stand_where_what_they_test_stands() -> None:
    assert misplaced(REPOSITORY) == []


def test_helpers_stand_in_support() -> None:
    assert strangers(REPOSITORY) == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A library of two rooms, with a test of each."""
    for name in (
        "stages/train.py",
        "stages/dti/paths.py",
        "stages/dti/models/base.py",
        "stages/dti/models/drugban/attention.py",
        "tests/conftest.py",
        "tests/support/small.py",
        "tests/unit/test_paths.py",
        "tests/unit/stages/test_train.py",
        "tests/unit/models/test_base_refusals.py",
        "tests/unit/models/drugban/test_drugban.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_tree_that_is_mirrored_passes(tree: Path) -> None:
    assert misplaced(tree) == strangers(tree) == []


@pytest.mark.parametrize(
    "name",
    [
        "tests/unit/test_train.py",
        "tests/unit/models/test_attention.py",
        "tests/unit/models/drugban/test_basement.py",
        "tests/unit/baselines/test_base.py",
    ],
)
def test_a_test_elsewhere_is_found(tree: Path, name: str) -> None:
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).touch()
    assert misplaced(tree) == [name]


@pytest.mark.parametrize("name", ["tests/small.py", "tests/unit/models/small.py"])
def test_a_helper_beside_tests_is_found(tree: Path, name: str) -> None:
    (tree / name).touch()
    assert strangers(tree) == [name]
