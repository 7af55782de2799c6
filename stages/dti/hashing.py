"""SHA-256 of files, folders and the code."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

from stages.dti.errors import DataError
from stages.dti.paths import ROOT


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_sha256(folder: Path, exclude: Collection[str] = ()) -> str:
    """Return one SHA-256 over the relative paths and bytes of all files below ``folder``.

    It depends on names and contents alone: not on times, permissions or where the folder lies.

    Args:
        exclude: relative paths that do not count.

    Raises:
        DataError: the folder holds no file.
    """
    found = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    files = {name: path for name, path in found.items() if name not in exclude}
    if not files:
        raise DataError(f"{folder} holds no files to hash; run `dvc repro`, which makes it")
    return sha256_of_list(_hashes(files))


def code_sha256(root: Path = ROOT) -> str:
    """Return one SHA-256 over every Python file of the stages and the library.

    For the keys of caches: more than what is kept depends on, so never too little.
    """
    sources = root / "stages"
    return sha256_of_list(
        _hashes({path.relative_to(sources).as_posix(): path for path in sources.rglob("*.py")})
    )


def sha256_of_list(hashes: Mapping[str, str]) -> str:
    """Return one SHA-256 over relative path → SHA-256 of the file's bytes, in any order."""
    lines = [f"{hashes[name]}  {name}\n" for name in sorted(hashes)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def artefact_hashes(artefacts: Mapping[str, Path]) -> dict[str, str]:
    """Return name → SHA-256 of each artefact, file or folder, sorted by name."""
    return {
        name: folder_sha256(path) if path.is_dir() else file_sha256(path)
        for name, path in sorted(artefacts.items())
    }


def _hashes(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: file_sha256(path) for name, path in files.items()}
