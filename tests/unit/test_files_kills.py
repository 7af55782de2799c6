"""A writer that is ended at any line leaves the old file or folder whole, or the new one."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from stages.dti import files as atomic
from stages.dti.errors import StorageError
from stages.dti.files import write_file, write_folder, write_text
from stages.dti.paths import ROOT, Paths
from tests.support import killed_writers

NOBODY = 65534


@pytest.mark.parametrize("how", ["kill", "time_limit"])
@pytest.mark.parametrize(
    ("kind", "renaming"), [("folder", "exchange"), ("folder", "two_steps"), ("file", "exchange")]
)
def test_old_or_new_is_whole_wherever_the_writer_ends(
    kind: str, renaming: str, how: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", killed_writers.__name__, str(tmp_path), kind, renaming, how],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    results = json.loads(done.stdout)
    *ended, whole = results
    assert len(ended) > 20
    assert whole["found"] == "new"
    wrong = [result for result in ended if result["found"] not in ("old", "new")]
    assert not wrong
    assert {result["found"] for result in ended} == {"old", "new"}
    # The next write of the same place succeeds. A killed writer's temporary is gone then; one
    # that raised may still hold the lock, while its process lives, between making and removing.
    assert all(result["after"] == "again" for result in results)
    if how == "kill":
        assert not [result for result in results if result["left"]]


def test_a_folder_moved_aside_is_back_at_the_next_read(tmp_path: Path) -> None:
    aside = tmp_path / "models/.promoted.0123abcd.old"
    aside.mkdir(parents=True)
    (aside / "model.json").write_text("{}")
    path = Paths(tmp_path, tmp_path).read(Path("models/promoted"))
    assert [file.name for file in path.iterdir()] == ["model.json"]


def test_the_temporary_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with write_folder(path) as first:
        (first / "from").write_text("first")
        with write_folder(path) as second:
            (second / "from").write_text("second")
        assert (path / "from").read_text() == "second"
        assert (first / "from").read_text() == "first"
    assert (path / "from").read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_temporaries_of_other_names_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".a.b.0123abcd.tmp").mkdir()
    (tmp_path / ".a.0123abcd.tmp").mkdir()
    (tmp_path / ".a.89abcdef.tmp").write_text("as an earlier version left it")
    write_text(tmp_path / "a", "text")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".a.b.0123abcd.tmp", "a"]


@pytest.mark.parametrize("renaming", ["exchange", "two_steps"])
def test_many_writers_at_once(
    renaming: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if renaming == "two_steps":
        monkeypatch.setattr(atomic, "_exchange", lambda one, other: False)
    path = tmp_path / "model"

    def write(number: int) -> None:
        with write_folder(path) as folder:
            for name in ("one", "two"):
                (folder / name).write_text(str(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))
    assert (path / "one").read_text() == (path / "two").read_text()
    write(200)  # clears what two writers left that had both moved something aside
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_file_or_a_link_gives_way_to_a_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with write_folder(tmp_path / name) as folder:
            (folder / "new").touch()
        assert [entry.name for entry in (tmp_path / name).iterdir()] == ["new"]
    assert (tmp_path / "elsewhere/kept").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["elsewhere", "file", "link"]


def _mounted(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", *options, str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    yield from _mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=256k", "none")


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "held").mkdir()
    (tmp_path / "held/results").mkdir()
    (tmp_path / "held/results/old").touch()
    yield from _mounted(tmp_path / "disk", "--bind", "-o", "ro", str(tmp_path / "held"))


NUMBERS = np.random.default_rng(0).random(100_000)
WRITERS = {
    "text": lambda path: path.write_text("x" * 1_000_000),
    "npy": lambda path: np.save(path.open("wb"), NUMBERS),
    "parquet": lambda path: pd.DataFrame({"a": NUMBERS}).to_parquet(path),
    "csv": lambda path: pd.DataFrame({"a": NUMBERS}).to_csv(path),
    "safetensors": lambda path: save_file({"a": NUMBERS}, path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_is_said_and_loses_nothing(kind: str, small_disk: Path) -> None:
    path = small_disk / "table"
    write_text(path, "old")
    with (
        pytest.raises(StorageError, match=r"table cannot be written: no space.*free some space"),
        write_file(path) as temporary,
    ):
        WRITERS[kind](temporary)
    assert path.read_text() == "old"
    with write_folder(small_disk / "folder") as folder:
        (folder / "file").write_text("old")
    with (
        pytest.raises(StorageError, match="folder cannot be written: no space"),
        write_folder(small_disk / "folder") as folder,
    ):
        WRITERS[kind](folder / "file")
    assert (small_disk / "folder/file").read_text() == "old"
    assert sorted(entry.name for entry in small_disk.iterdir()) == ["folder", "table"]


def test_a_size_limit_is_said_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table"
    write_text(path, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(StorageError, match="the allowed size is reached"):
            write_text(path, "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"


def test_a_read_only_file_system_is_said(read_only_disk: Path) -> None:
    for path in (read_only_disk / "results", read_only_disk / "new/below"):
        with (
            pytest.raises(StorageError, match=rf"{path} cannot be written.*make .* writable"),
            write_folder(path),
        ):
            pass
    assert [entry.name for entry in (read_only_disk / "results").iterdir()] == ["old"]


def test_another_users_folder_is_said(tmp_path: Path) -> None:
    """Root may write everywhere, so a process of nobody's tries."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    write_text(tmp_path / "table", "old")
    code = (
        "import os, sys; from pathlib import Path\n"
        "from stages.dti.files import write_text\n"
        f"os.setuid({NOBODY})\n"
        "try:\n    write_text(Path(sys.argv[1]), 'new')\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    for parent in tmp_path.parents:  # pytest's folders are for their owner alone
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o1:
            parent.chmod(parent.stat().st_mode | 0o11)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "table")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("StorageError")
    assert os.strerror(errno.EACCES) in done.stdout
    assert (tmp_path / "table").read_text() == "old"
