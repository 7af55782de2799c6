"""Files and folders are written whole or not at all: under a temporary name, then put in place.

What stood there stays whole until the new one takes its place in a single step, so that a kill, an
error or a time limit at any moment leaves the old one or the new one. (A loss of power is another
matter: nothing is forced to the disk.) Several processes may write to one place; the last one wins.

A temporary is a folder ``.NAME.xxxxxxxx.tmp`` beside the file or folder NAME, locked by its writer.
One that a killed writer left is removed at the next write of NAME.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stages.dti.errors import DataError, DtiError, StorageError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)

_FULL_BELOW_BYTES = 1 << 16
"""A file system with less to spare is full."""

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_CANNOT_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def write_file(path: Path) -> Iterator[Path]:
    """Yield a path to write a file to; on success it replaces ``path``, else it goes.

    Raises:
        StorageError: no space, or no right to write there; ``path`` is as it was.
    """
    with _explained(path), _temporary(path) as folder:
        temporary = folder / path.name
        yield temporary
        os.replace(temporary, path)


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it replaces ``path`` whole, else it goes.

    Raises:
        StorageError: no space, or no right to write there; ``path`` is as it was.
    """
    with _explained(path), _temporary(path) as temporary:
        yield temporary
        _put_in_place(temporary, path)


def remove_folder(path: Path) -> None:
    """Remove a folder, if it is there: whole at once, so that nobody finds half of it."""
    _clear(path)
    with suppress(FileNotFoundError):
        doomed = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        os.rename(path, doomed)
        _remove(doomed)


def restore_folder(path: Path) -> None:
    """Bring back the folder that a writer moved aside and was killed before it could replace.

    It needs doing where the file system cannot exchange two folders in one step, and only there.
    """
    asides = _beside(path, "old")
    if asides and not os.path.lexists(path):
        with suppress(FileNotFoundError):  # another process was quicker
            # The newest, should there be more: whatever others left there is older.
            newest = max(asides, key=lambda aside: aside.stat().st_ctime_ns)
            _rename_to_free(newest, path)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically.

    Raises:
        StorageError: as ``write_file`` does.
    """
    with write_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON with sorted keys, so that equal values give equal bytes.

    Raises:
        ValueError: a number is NaN or infinite; JSON has no such numbers, use ``None``.
        StorageError: as ``write_file`` does.
    """
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return what ``write_json`` writes.

    Raises:
        ValueError: as ``write_json`` does.
    """
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return text + "\n"


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield a new locked folder beside ``path``, and remove what stands there in the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    restore_folder(path)
    _clear(path)
    temporary, lock = _locked_folder(path)
    try:
        yield temporary
    finally:
        try:
            restore_folder(path)
            _remove(temporary)
        finally:
            os.close(lock)


def _locked_folder(path: Path) -> tuple[Path, int]:
    """Return a new folder beside ``path``, and the descriptor that locks it while it is open."""
    while True:
        folder = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        folder.mkdir()
        # Before it is locked another writer may take it for a dead one's: then it is locked by
        # that one, or gone.
        with suppress(FileNotFoundError, BlockingIOError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise
            except OSError:  # a file system without locks: nothing is taken for dead there
                return folder, descriptor
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _clear(path: Path) -> None:
    """Remove what killed writers left beside ``path``."""
    for dead in _beside(path, "tmp"):
        with suppress(OSError):  # locked, so not dead; removed meanwhile; or another user's
            descriptor = os.open(dead, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(dead)
            finally:
                os.close(descriptor)
    if os.path.lexists(path):
        for aside in _beside(path, "old"):
            _remove(aside)


def _beside(path: Path, suffix: str) -> list[Path]:
    """Return the temporaries of ``path``: ``tmp`` being written, ``old`` moved aside."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.{suffix}")
    if not path.parent.is_dir():
        return []
    return [entry for entry in path.parent.iterdir() if name.fullmatch(entry.name)]


def _put_in_place(folder: Path, path: Path) -> None:
    """Let ``folder`` stand at ``path``; what stood there is at ``folder`` afterwards, or gone."""
    while True:
        if not os.path.lexists(path):
            if _rename_to_free(folder, path):
                return
        elif _exchange(folder, path):
            return
        else:
            # Two steps; ``restore_folder`` mends what an end between them leaves.
            aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
            with suppress(FileNotFoundError):  # moved by another writer: begin anew
                os.rename(path, aside)
                if _rename_to_free(folder, path):
                    _remove(aside)
                    return


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step, as only Linux can; return whether that was done.

    It is not where ``other`` is gone, or where the system or the file system cannot do it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    paths = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    if library.renameat2(*paths, _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number == errno.ENOENT or number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _rename_to_free(folder: Path, path: Path) -> bool:
    """Rename ``folder`` to ``path``; return whether nothing stands there by now."""
    try:
        os.rename(folder, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        return False
    return True


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder; what cannot be removed now is at the next write."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what to do about an error of the file system."""
    try:
        yield
    except DtiError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        # safetensors says it in words alone, numpy not at all.
        in_words = os.strerror(errno.ENOSPC) in str(error)
        if number in _NO_SPACE or in_words or _is_full(path.parent):
            raise StorageError(
                f"{path} cannot be written: no space is left, or the allowed size is reached "
                f"({error}); free some space (`dvc gc -w` removes results that are no longer "
                "used) and run it again; what stood there before is unchanged"
            ) from error
        if number in _NOT_ALLOWED:
            raise StorageError(
                f"{path} cannot be written ({error}); make {path.parent} writable for this user, "
                "or work in a copy of the repository that is; what stood there before is unchanged"
            ) from error
        raise


def _is_full(folder: Path) -> bool:
    try:
        free = os.statvfs(folder)
    except OSError:  # the folder itself could not be made
        return False
    return free.f_bavail * free.f_frsize < _FULL_BELOW_BYTES


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DataError: the file is missing or holds no JSON object.
    """
    try:
        return json_object(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}; run `dvc repro`, or restore it"
        ) from error


def json_object(text: str) -> dict[str, Any]:
    """Return the JSON object that ``text`` is.

    Raises:
        ValueError: it is no JSON.
        TypeError: it is JSON, but no object.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise TypeError(f"a JSON object is wanted, not a {type(content).__name__}")
    return content
