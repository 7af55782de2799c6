"""``files.json``, by which a model folder that was altered or damaged is refused.

``files.json`` is written last: ``model`` maps each of the model's own files to its sha256, and
``export`` those that promotion put beside them. What ``model`` lists is the model's identity: one
sha256 over names and hashes, the same for a candidate and for the export that it becomes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.dti.artifacts.base import Sha256
from stages.dti.artifacts.model import ModelArtifact
from stages.dti.errors import DamagedModelError, DtiError, ModelError
from stages.dti.files import json_object
from stages.dti.hashing import file_sha256, sha256_of_list

FILES = "files.json"

_RESTORE = ModelArtifact.remedy


class FileList(ModelArtifact):
    """Relative path → sha256, of the model's own files and of those that promotion put there."""

    model: dict[str, Sha256]
    export: dict[str, Sha256]


def seal(folder: Path) -> None:
    """List every file below ``folder`` as the model's own."""
    own = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    FileList(model=_hashes(folder, own), export={}).write(folder / FILES)


def seal_export(folder: Path, names: Iterable[str]) -> None:
    """List the files ``names`` of a sealed folder as those that promotion put there."""
    listed = _read(folder)
    FileList(model=listed.model, export=_hashes(folder, sorted(names))).write(folder / FILES)


def verify_folder(folder: Path) -> str:
    """Return the model's identity; first compare every listed file with its hash.

    Raises:
        ModelError: there is no list of files.
        DamagedModelError: the list or a file cannot be read, is missing, or is another than was
            listed.
    """
    listed = _read(folder)
    for name, expected in {**listed.model, **listed.export}.items():
        path = folder / name
        with reading(path):
            if not path.is_file():
                what = "is no file" if path.exists() else "is missing"
                raise DamagedModelError(
                    f"the model in {folder} is incomplete: {name}, which {FILES} lists, {what}; "
                    f"{_RESTORE}"
                )
            found = file_sha256(path)
            if found != expected:
                raise DamagedModelError(
                    f"{path} was altered or damaged: its sha256 is {found}, {FILES} says "
                    f"{expected}; {_RESTORE}"
                )
    return sha256_of_list(listed.model)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file (or folder) of a model is read into one kind of error.

    Raises:
        DamagedModelError: whatever it was, but for errors that are not the file's.
    """
    try:
        yield
    except (DtiError, ImportError, MemoryError):
        raise
    except Exception as error:  # each format has its own errors, and some have none
        raise DamagedModelError(
            f"{path} cannot be read ({type(error).__name__}: {error}); {_RESTORE}"
        ) from error


def _read(folder: Path) -> FileList:
    if not (folder / FILES).exists():
        raise ModelError(
            f"the model in {folder} has no list of its files ({FILES} is missing), so nobody can "
            f"say whether it is whole; {_RESTORE}"
        )
    with reading(folder / FILES):
        text = (folder / FILES).read_text(encoding="utf-8")
        listed = FileList.parse(json_object(text), folder / FILES)
        if text != listed.text():
            raise ValueError("it is not as it was written")
        return listed


def _hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    return {name: file_sha256(folder / name) for name in names}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.name != FILES)
