"""Sequence embeddings of a pretrained language model, each sequence computed once.

Embeddings are kept in ``data/cache/embeddings/<model key>/<SHA-256 of the sequence>.npy``. The key
covers all that decides the numbers: the model's files, layer, pooling, windows, and the versions
of the libraries. So features computed again, and a server that is asked about a target of the
data set, need no language model at all. Where the folder cannot be written, nothing is kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray

from stages.dti.config.features import EmbeddingConfig, FeaturesConfig
from stages.dti.errors import ModelError, StorageError
from stages.dti.files import write_file
from stages.dti.runtime.progress import ProgressLog

if TYPE_CHECKING:
    from stages.dti.features.language_model import LanguageModel

logger = logging.getLogger(__name__)


def pin_embedding(config: FeaturesConfig) -> FeaturesConfig:
    """Return ``config`` with the SHA-256 of its language model's files, if it has one.

    Features, and models trained on them, keep the pinned parameters: another file by the same
    name is then an error, never other features.
    """
    if config.embedding is None:
        return config
    return config.model_copy(update={"embedding": _pinned(config.embedding)})


def embed_sequences(
    sequences: Sequence[str],
    config: EmbeddingConfig,
    cache: Path,
    *,
    threads: int | None = 1,
    progress: bool = False,
) -> list[NDArray[np.float32]]:
    """Embed each sequence by itself, on one thread, so that its numbers depend on it alone.

    Args:
        sequences: upper-case one-letter codes, none empty.
        cache: the folder ``data/cache``.
        threads: how many sequences are embedded at a time; ``None``: one per processor.
        progress: log how far it is, if it takes long.

    Returns:
        Per sequence float32 ``(rows, dim)``: one row, or one per residue (``config.pooling``).

    Raises:
        ModelError: the language model is needed, and cannot be loaded.
    """
    config = _pinned(config)
    folder = cache / "embeddings" / _model_key(config)
    files = {sequence: folder / f"{_sha256(sequence)}.npy" for sequence in sequences}
    embedded, missing = {}, []
    for sequence, file in files.items():
        kept = _read(file)
        if kept is None:
            missing.append(sequence)
        else:
            embedded[sequence] = kept
    writable = True
    for sequence, rows in _computed(missing, config, threads, progress):
        embedded[sequence] = rows
        writable = writable and _write(files[sequence], rows)
    return [embedded[sequence] for sequence in sequences]


def _computed(
    sequences: list[str], config: EmbeddingConfig, threads: int | None, progress: bool
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield each sequence with its embedding, in order."""
    if not sequences:
        return
    model = _loaded(config)
    jobs = min(cpu_count() if threads is None else threads, len(sequences))
    with _code().threads_restored():
        results = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(
            delayed(model.embed)(sequence) for sequence in sequences
        )
        told = ProgressLog("targets embedded", len(sequences)) if progress else None
        for sequence, rows in zip(sequences, results, strict=True):
            yield sequence, rows
            if told:
                told.advance()


def _code() -> ModuleType:
    """Import what loads language models: only where one is needed, since torch takes seconds."""
    try:
        from stages.dti.features import language_model
    except ModuleNotFoundError as error:
        raise ModelError(
            f"features.embedding needs the package {error.name}; install the extra with "
            "`pip install '.[embeddings]'`"
        ) from error
    return language_model


def _pinned(config: EmbeddingConfig) -> EmbeddingConfig:
    if config.sha256 is not None:
        return config
    return config.model_copy(update={"sha256": _code().model_sha256(config)})


@lru_cache(maxsize=1)
def _loaded(config: EmbeddingConfig) -> LanguageModel:
    model: LanguageModel = _code().LanguageModel(config)
    return model


def _model_key(config: EmbeddingConfig) -> str:
    facts = config.model_dump(exclude={"model", "revision"})
    for library in ("torch", "transformers"):
        try:
            facts[library] = version(library)
        except PackageNotFoundError:
            facts[library] = None
    return _sha256(json.dumps(facts, sort_keys=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _read(file: Path) -> NDArray[np.float32] | None:
    """Return what the cache holds; a file that cannot be read counts as absent."""
    try:
        rows: NDArray[np.float32] = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return rows


def _write(file: Path, rows: NDArray[np.float32]) -> bool:
    try:
        with write_file(file) as temporary, temporary.open("wb") as stream:
            np.save(stream, rows, allow_pickle=False)
    except (StorageError, OSError) as error:
        logger.warning("embeddings are not kept: %s", error)
        return False
    return True
