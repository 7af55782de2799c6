"""JSON results of other stages; a key that is not there is an error that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stages.dti.errors import DataError


class Document(dict[str, Any]):
    """A JSON object that knows where it stands.

    Templates read it as they read a dict, but a missing key raises DataError where a dict would
    give them an empty place.
    """

    def __init__(self, values: dict[str, Any], file: str, path: str = "") -> None:
        """Wrap ``values``, found in ``file`` under the dotted ``path``."""
        self._file, self._path = file, path
        super().__init__({key: self._wrapped(value, key) for key, value in values.items()})

    def __missing__(self, key: str) -> Any:
        """Raise DataError: the file lacks a key that the report needs."""
        raise DataError(
            f"{self._file} has no {self._join(key)!r}, which the report needs; it was written by "
            "another version of the code: run `dvc repro`"
        )

    def _wrapped(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return Document(value, self._file, self._join(key))
        if isinstance(value, list):
            return [self._wrapped(item, f"{key}[{index}]") for index, item in enumerate(value)]
        return value

    def _join(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else str(key)


def read_document(path: Path) -> Document:
    """Read a JSON object that a stage wrote.

    Raises:
        DataError: the file is missing or holds no JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; run `dvc repro`, which makes it") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is no JSON: {error}; run `dvc repro`") from error
    if not isinstance(values, dict):
        raise DataError(f"{path} holds no JSON object; run `dvc repro`")
    return Document(values, str(path))
