"""Pretrained protein language models through ``transformers``: ESM-2 (Lin et al., Science 379, 1123
(2023)) and ProtBERT (Elnaggar et al., IEEE TPAMI 44, 7112 (2022)), or others of these two kinds.

The extra ``embeddings`` installs ``transformers``. Weights are read from safetensors alone: the
older ``.bin`` files are pickles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from numpy.typing import NDArray
from safetensors import SafetensorError

from stages.dti.config.features import EmbeddingConfig
from stages.dti.errors import ConfigError, ModelError
from stages.dti.hashing import file_sha256
from stages.dti.paths import ROOT

_FILES = ("*.json", "*.txt", "*.safetensors")
"""What is fetched, read and hashed of a model: configuration, tokenizer, weights."""

_UNUSED = ("pooler.", "contact_head.", "embeddings.position_ids")
"""Parameters that a checkpoint may lack: no hidden state depends on them."""

_TO_X = str.maketrans("UZOB", "XXXX")
"""ProtBERT was trained with X in place of these letters."""


class LanguageModel:
    """A loaded model; ``embed`` is a function of the sequence alone."""

    def __init__(self, config: EmbeddingConfig) -> None:
        """Load the model that ``config`` names.

        Raises:
            ModelError: it cannot be found or fetched, has no safetensors, is incomplete, is not
                the one that ``config.sha256`` pins, or does not read one token per residue.
            ConfigError: it is of no known kind, or has no layer ``config.layer``.
        """
        folder = _folder_of(config)
        sha256 = _files_sha256(folder)
        if config.sha256 not in (None, sha256):
            raise ModelError(
                f"the language model in {folder} has SHA-256 {sha256}, but features were computed "
                f"with {config.sha256}; restore the files that features.embedding.model "
                f"{config.model!r} then named, or set features.embedding.sha256 to null and train "
                "anew with `dvc repro`"
            )
        self._config = config
        self._network, self._spaced = _load_network(folder, config)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        added = (
            self._tokenizer.cls_token_id,
            self._tokenizer.sep_token_id,
            self._tokenizer.eos_token_id,
        )
        self._added = [token for token in added if token is not None]

    def embed(self, sequence: str) -> NDArray[np.float32]:
        """Return the hidden states of the residues, ``(rows, dim)``.

        A sequence longer than ``window_residues`` is read in as few windows as are needed, of
        equal length to within one residue. Torch is left on one thread: the order of a sum depends
        on how many share it.

        Returns:
            One row per residue; with pooling ``mean`` one row, the mean over all residues.
        """
        torch.set_num_threads(1)
        windows = -(-len(sequence) // self._config.window_residues)
        bounds = np.linspace(0, len(sequence), windows + 1).astype(int)
        rows = torch.cat(
            [self._embed_window(sequence[start:end]) for start, end in pairwise(bounds)]
        )
        if self._config.pooling == "mean":
            rows = rows.mean(0, keepdim=True)
        embedded: NDArray[np.float32] = rows.numpy()
        return embedded

    def _embed_window(self, residues: str) -> torch.Tensor:
        text = " ".join(residues.translate(_TO_X)) if self._spaced else residues
        encoded = self._tokenizer(text, return_tensors="pt")
        tokens = encoded["input_ids"]
        is_residue = ~torch.isin(tokens[0], torch.tensor(self._added))
        if int(is_residue.sum()) != len(residues):
            raise ModelError(
                f"the tokenizer of {self._config.model!r} makes {int(is_residue.sum())} tokens of "
                f"{len(residues)} residues; features.embedding.model must name a protein language "
                "model that reads one token per residue"
            )
        with torch.inference_mode():
            output = self._network(
                input_ids=tokens,
                attention_mask=encoded["attention_mask"],
                output_hidden_states=[self._config.layer],
            )
        states: torch.Tensor = output.hidden_states[self._config.layer][0, is_residue]
        return states


def model_sha256(config: EmbeddingConfig) -> str:
    """Return one SHA-256 over names and bytes of the files that decide what the model computes.

    Raises:
        ModelError: the model cannot be found or fetched, or has no safetensors.
    """
    return _files_sha256(_folder_of(config))


@contextmanager
def threads_restored() -> Iterator[None]:
    """Give torch its threads back afterwards.

    Apart from ``embed``, since the matrix library's number of threads is one for the process: a
    thread that restored it would change it for those that still compute.
    """
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _folder_of(config: EmbeddingConfig) -> Path:
    """Return the folder that holds the model, fetched from the hub if it is no folder of ours."""
    folder = ROOT / Path(config.model).expanduser()
    if folder.is_dir():
        return folder
    try:
        return Path(
            snapshot_download(config.model, revision=config.revision, allow_patterns=list(_FILES))
        )
    except HFValidationError as error:
        raise ModelError(
            f"features.embedding.model: {config.model!r} is neither a folder (looked for {folder}) "
            "nor the name of a model on the Hugging Face hub, such as facebook/esm2_t12_35M_UR50D"
        ) from error
    except OSError as error:  # no network, no such repository or revision, offline and not cached
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"features.embedding.model: {config.model!r} (revision {config.revision}) is no folder "
            f"(looked for {folder}), and cannot be fetched from the Hugging Face hub: {reason}. "
            "Where there is no network, run `hf download "
            f"{config.model} --revision {config.revision} --local-dir FOLDER` elsewhere, and set "
            "features.embedding.model to the folder"
        ) from error


def _files_sha256(folder: Path) -> str:
    files = {path.name: path for pattern in _FILES for path in folder.glob(pattern)}
    if "config.json" not in files or not list(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} holds no config.json or no weights as safetensors (a .bin file is a pickle, "
            "which is not read); name a revision that has them, or convert the model once with "
            "`AutoModel.from_pretrained(...).save_pretrained(FOLDER)` of transformers, its "
            "tokenizer likewise, and set features.embedding.model to the folder"
        )
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{file_sha256(files[name])}  {name}\n".encode())
    return digest.hexdigest()


def _load_network(folder: Path, config: EmbeddingConfig) -> tuple[torch.nn.Module, bool]:
    """Return the network in eval mode, and whether it wants spaces between residues."""
    kind = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    if kind.model_type not in ("esm", "bert"):
        raise ConfigError(
            f"features.embedding.model: {config.model!r} is a model of type {kind.model_type!r}; "
            "known are 'esm' (ESM-2) and 'bert' (ProtBERT)"
        )
    layers = kind.num_hidden_layers
    if not -layers - 1 <= config.layer <= layers:
        raise ConfigError(
            f"features.embedding.layer: {config.layer}, but {config.model!r} has {layers} layers; "
            f"0 is its input embedding, {layers} or -1 the last layer"
        )
    # Checkpoints bring a language head, which is not used; transformers would warn of it.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        network, found = transformers.AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            add_pooling_layer=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the language model in {folder} cannot be loaded: {error}") from error
    missing = sorted(name for name in found["missing_keys"] if not name.startswith(_UNUSED))
    if missing:
        raise ModelError(
            f"the weights in {folder} lack {len(missing)} parameters of its config.json, the first "
            f"is {missing[0]}; fetch the model again"
        )
    return network.eval(), kind.model_type == "bert"
