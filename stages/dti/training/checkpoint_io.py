"""Lightning's checkpoints without pickle: tensors as safetensors, the rest as JSON beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins.io import CheckpointIO
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from stages.dti.files import write_file

_HEADER = "state"


class SafetensorsIO(CheckpointIO):
    """Writes and reads nested mappings, lists and tuples of tensors and plain values."""

    def save_checkpoint(
        self, checkpoint: Mapping[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; whole, or not at all.

        Raises:
            TypeError: a value is neither a tensor nor plain, so that only pickle could store it.
        """
        assert storage_options is None
        tensors: dict[str, Tensor] = {}
        plain = _pack(checkpoint, "checkpoint", tensors)
        with write_file(Path(path)) as temporary:
            save_file(tensors, temporary, metadata={_HEADER: json.dumps(plain)})

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read what ``save_checkpoint`` wrote; tensors on the CPU, whatever was asked for."""
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            checkpoint: dict[str, Any] = _unpack(json.loads(file.metadata()[_HEADER]), tensors)
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove the file."""
        Path(path).unlink(missing_ok=True)


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    match value:
        case Tensor():
            # A copy, since safetensors refuses tensors that share memory.
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {"tensor": name}
        case Mapping():  # as pairs: an optimiser's keys are numbers, which JSON has not as keys
            return {
                "pairs": [
                    [key, _pack(item, f"{name}.{key}", tensors)] for key, item in value.items()
                ]
            }
        case list() | tuple():
            items = [_pack(item, f"{name}.{i}", tensors) for i, item in enumerate(value)]
            return {"tuple": items} if isinstance(value, tuple) else items
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"{name} is a {type(value).__name__}, which cannot be stored without pickle")


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    match value:
        case {"tensor": name}:
            return tensors[name]
        case {"pairs": pairs}:
            return {key: _unpack(item, tensors) for key, item in pairs}
        case {"tuple": items}:
            return tuple(_unpack(item, tensors) for item in items)
        case list():
            return [_unpack(item, tensors) for item in value]
    return value
