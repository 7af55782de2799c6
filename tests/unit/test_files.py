"""Files and folders appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.dti.files import remove_folder, write_file, write_folder, write_json


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail() -> None:
        with write_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "old"


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with write_folder(folder) as temporary:
        (temporary / "weights").write_text("old")

    def fail() -> None:
        with write_folder(folder) as temporary:
            (temporary / "weights").write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert (folder / "weights").read_text() == "old"


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for name in ("first", "second"):
        with write_folder(folder) as temporary:
            (temporary / name).write_text(name)
    assert [p.name for p in folder.iterdir()] == ["second"]


def test_equal_values_give_equal_json_and_nan_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": 2})
    write_json(tmp_path / "b.json", {"a": 2, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "c.json", {"a": float("nan")})
    assert not (tmp_path / "c.json").exists()


def test_a_folder_goes_whole_and_what_a_kill_left_of_one_goes_with_the_next(tmp_path: Path) -> None:
    remove_folder(tmp_path / "nothing")
    for name in (".chunks.0123abcd.tmp", "chunks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").touch()
    remove_folder(tmp_path / "chunks")
    assert not list(tmp_path.iterdir())
