"""``python -m tests.support.killed_writers ROOT file|folder exchange|two_steps kill|time_limit``.

Writes a file or folder over an old one, once for each line that the writer runs, and ends the
writer at that line: by SIGKILL in a process of its own, or by the exception that a stage's time
limit raises. Prints a JSON list with what stood there afterwards: ``line``, ``found`` (``old``,
``new`` or what else), ``after`` (what stood there after one more write) and ``left`` (what stood
beside it then).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from stages.dti import files as atomic
from stages.dti.errors import StageTimeoutError

FILES = ("model.json", "weights", "reference/drugs")
WRITER = ("files.py", "shutil.py")


def write(path: Path, kind: str, text: str) -> None:
    """Write ``text`` to the file, or to each of ``FILES`` in the folder."""
    if kind == "file":
        with atomic.write_file(path) as temporary:
            temporary.write_text(text * 1000)
        return
    with atomic.write_folder(path) as temporary:
        for name in FILES:
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(text * 1000)


def found(path: Path, kind: str) -> str:
    """Return whose text stands there, in words where it is not whole."""
    atomic.restore_folder(path)  # as Paths.read does
    files = [path] if kind == "file" else [path / name for name in FILES]
    texts = {file.read_text() if file.is_file() else "missing" for file in files}
    for text in ("old", "new", "again"):
        if texts == {text * 1000}:
            return text
    return " and ".join(sorted(text[:9] for text in texts))


def end_at(step: int, how: str) -> Any:
    """Return a trace function that ends the process, or raises, at the ``step``-th line."""
    seen = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal seen
        if os.path.basename(frame.f_code.co_filename) not in WRITER:
            return None
        if event == "line":
            seen += 1
            if seen == step:
                if how == "kill":
                    os.write(2, f"{frame.f_code.co_qualname}:{frame.f_lineno}".encode())
                    os.kill(os.getpid(), signal.SIGKILL)
                sys.settrace(None)
                line = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
                raise StageTimeoutError(line)
        return trace

    return trace


def ended_at(step: int, how: str, path: Path, kind: str) -> str | None:
    """Write and be ended; return the line, or ``None`` where the writer was done before."""
    if how == "time_limit":
        sys.settrace(end_at(step, how))
        try:
            write(path, kind, "new")
        except StageTimeoutError as error:
            return str(error)
        finally:
            sys.settrace(None)
        return None
    read, written = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(written, 2)
        sys.settrace(end_at(step, how))
        write(path, kind, "new")
        sys.settrace(None)
        os._exit(0)
    os.close(written)
    _, status = os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        line = pipe.read()
    return line if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else None


def main(root: Path, kind: str, renaming: str, how: str) -> None:
    """Print what was found."""
    if renaming == "two_steps":  # as on a file system that cannot exchange
        atomic._exchange = lambda one, other: False
    results = []
    step = 1
    while True:
        folder = root / str(step)
        folder.mkdir()
        write(folder / "it", kind, "old")
        line = ended_at(step, how, folder / "it", kind)
        first = found(folder / "it", kind)
        write(folder / "it", kind, "again")
        left = sorted(path.name for path in folder.iterdir() if path.name != "it")
        results.append(
            {"line": line, "found": first, "after": found(folder / "it", kind), "left": left}
        )
        if line is None:
            break
        step += 1
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
