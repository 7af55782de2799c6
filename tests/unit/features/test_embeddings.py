"""features/embeddings.py, features/language_model.py: real models of transformers, made tiny."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import BertModel, EsmModel

from stages.dti.config.base import build
from stages.dti.config.features import EmbeddingConfig, FeaturesConfig
from stages.dti.errors import ConfigError, DtiError, ModelError
from stages.dti.features.embeddings import embed_sequences, pin_embedding
from stages.dti.features.targets import featurize_targets
from tests.support.language_models import BERT_VOCABULARY, ESM_VOCABULARY, write_bert, write_esm

LYSOZYME = "KVFGRCELAAAMKRHGLDNYRGYSLGNWVCAAKFESNFNTQATNRNTDGSTDYGILQINSRWWCNDGRTPGSRNLCNIPCSALLSS"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
INSULIN = "GIVEQCCTSICSLYQLENYCN"


@pytest.fixture(scope="module")
def esm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_esm(tmp_path_factory.mktemp("esm"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert"))


def config(model: Path | str, **changes: Any) -> EmbeddingConfig:
    values = {"revision": "main", "layer": -1, "pooling": "residues", "window_residues": 1022}
    return build(EmbeddingConfig, {"model": str(model)} | values | changes, "features.embedding")


def features(embedding: EmbeddingConfig, max_residues: int = 1200) -> FeaturesConfig:
    return FeaturesConfig(
        fingerprint_radius=2,
        fingerprint_bits=64,
        max_residues=max_residues,
        kmer_bins=8,
        embedding=embedding,
    )


def plain_esm(folder: Path, sequence: str, layer: int = -1) -> NDArray[np.float32]:
    """A plain forward, special tokens and all, from token numbers made by hand."""
    network = EsmModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokens = ["<cls>", *sequence, "<eos>"]
    numbers = torch.tensor([[ESM_VOCABULARY.index(token) for token in tokens]])
    with torch.no_grad():
        output = network(input_ids=numbers, attention_mask=torch.ones_like(numbers))
        if layer == -1:
            return output.last_hidden_state[0].numpy()
        return network(numbers, output_hidden_states=True).hidden_states[layer][0].numpy()


def plain_bert(folder: Path, letters: str) -> NDArray[np.float32]:
    network = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokens = ["[CLS]", *letters, "[SEP]"]
    numbers = torch.tensor([[BERT_VOCABULARY.index(token) for token in tokens]])
    with torch.no_grad():
        return network(numbers).last_hidden_state[0].numpy()


def test_esm_rows_are_a_plain_forwards_without_the_special_tokens(
    esm: Path, tmp_path: Path
) -> None:
    sequence = INSULIN + "XBUZO"
    (rows,) = embed_sequences([sequence], config(esm), tmp_path)
    expected = plain_esm(esm, sequence)
    assert rows.dtype == np.float32
    assert rows.shape == (len(sequence), 16)
    assert len(expected) == len(sequence) + 2
    np.testing.assert_allclose(rows, expected[1:-1], rtol=1e-5, atol=1e-6)


def test_protbert_reads_spaced_residues_and_x_for_rare_ones(bert: Path, tmp_path: Path) -> None:
    (rows,) = embed_sequences(["MKUZOBV"], config(bert), tmp_path)
    np.testing.assert_allclose(rows, plain_bert(bert, "MKXXXXV")[1:-1], rtol=1e-5, atol=1e-6)
    assert rows.shape == (7, 16)


def test_mean_pooling_is_the_mean_over_residues(esm: Path, tmp_path: Path) -> None:
    (mean,) = embed_sequences([UBIQUITIN], config(esm, pooling="mean"), tmp_path)
    expected = plain_esm(esm, UBIQUITIN)[1:-1].mean(0)
    assert mean.shape == (1, 16)
    np.testing.assert_allclose(mean[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [0, 1, -2])
def test_an_inner_layer(esm: Path, tmp_path: Path, layer: int) -> None:
    (rows,) = embed_sequences([INSULIN], config(esm, layer=layer), tmp_path)
    np.testing.assert_allclose(rows, plain_esm(esm, INSULIN, layer)[1:-1], rtol=1e-5, atol=1e-6)


def test_an_embedding_depends_on_its_sequence_alone(esm: Path, tmp_path: Path) -> None:
    sequences = [UBIQUITIN, LYSOZYME, INSULIN, "M"]
    threads = torch.get_num_threads()
    together = embed_sequences(sequences, config(esm), tmp_path / "together", threads=3)
    assert torch.get_num_threads() == threads
    for sequence, rows in zip(sequences, together, strict=True):
        (alone,) = embed_sequences([sequence], config(esm), tmp_path / sequence[:5])
        assert alone.tobytes() == rows.tobytes()


def test_a_long_sequence_is_read_in_equal_windows(esm: Path, tmp_path: Path) -> None:
    (rows,) = embed_sequences([LYSOZYME], config(esm, window_residues=30), tmp_path)
    windows = [LYSOZYME[:28], LYSOZYME[28:57], LYSOZYME[57:]]
    assert "".join(windows) == LYSOZYME
    assert {len(window) for window in windows} <= {28, 29}
    expected = np.concatenate([plain_esm(esm, window)[1:-1] for window in windows])
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)


def test_what_is_kept_is_not_computed_again(tmp_path: Path) -> None:
    folder = write_esm(tmp_path / "model")
    pinned = pin_embedding(features(config(folder))).embedding
    assert pinned is not None
    first = embed_sequences([INSULIN, UBIQUITIN, INSULIN], pinned, tmp_path / "cache")
    assert len(list(tmp_path.glob("cache/embeddings/*/*.npy"))) == 2
    assert not list(tmp_path.glob("cache/embeddings/*/.*"))

    shutil.rmtree(folder)
    again = embed_sequences([UBIQUITIN, INSULIN], pinned, tmp_path / "cache")
    assert again[0].tobytes() == first[1].tobytes()
    assert again[1].tobytes() == first[0].tobytes() == first[2].tobytes()


@pytest.mark.parametrize(
    "changes", [{"layer": 1}, {"pooling": "mean"}, {"window_residues": 10}], ids=str
)
def test_other_parameters_are_kept_apart(
    esm: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    (first,) = embed_sequences([INSULIN], config(esm), tmp_path)
    (other,) = embed_sequences([INSULIN], config(esm, **changes), tmp_path)
    assert not np.array_equal(first, other)


def test_other_weights_at_the_same_path_are_kept_apart(tmp_path: Path) -> None:
    folder, cache = tmp_path / "model", tmp_path / "cache"
    (first,) = embed_sequences([INSULIN], config(write_esm(folder)), cache)
    (other,) = embed_sequences([INSULIN], config(write_esm(folder, seed=1)), cache)
    assert not np.array_equal(first, other)


def test_a_pinned_model_refuses_other_weights(tmp_path: Path) -> None:
    pinned = pin_embedding(features(config(write_esm(tmp_path / "model")))).embedding
    assert pinned is not None
    write_esm(tmp_path / "model", seed=1)
    with pytest.raises(ModelError, match=r"features were computed with .*restore the files"):
        embed_sequences([INSULIN], pinned, tmp_path / "cache")


def test_a_damaged_file_is_computed_again(esm: Path, tmp_path: Path) -> None:
    (first,) = embed_sequences([INSULIN], config(esm), tmp_path)
    (file,) = tmp_path.glob("embeddings/*/*.npy")
    for damaged in (file.read_bytes()[:-7], b"", b"no array"):
        file.write_bytes(damaged)
        (again,) = embed_sequences([INSULIN], config(esm), tmp_path)
        assert again.tobytes() == first.tobytes()
        assert np.load(file).tobytes() == first.tobytes()


def test_a_folder_that_cannot_be_written_breaks_nothing(
    esm: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    rows = embed_sequences([INSULIN, UBIQUITIN], config(esm), tmp_path / "cache")
    assert [len(part) for part in rows] == [len(INSULIN), len(UBIQUITIN)]
    assert caplog.text.count("embeddings are not kept") == 1


def test_target_features_hold_rows_and_offsets(esm: Path, tmp_path: Path) -> None:
    settings = features(config(esm), max_residues=50)
    targets, bad = featurize_targets([LYSOZYME, "MKJV", INSULIN], settings, cache=tmp_path)
    assert list(bad) == [1]
    assert targets.embedding_offsets.tolist() == [0, 50, 71]
    (cut,) = embed_sequences([LYSOZYME[:50]], config(esm), tmp_path / "other")
    assert targets.embeddings[:50].tobytes() == cut.tobytes()

    settings = features(config(esm, pooling="mean"))
    mean, _ = featurize_targets([LYSOZYME, INSULIN], settings, cache=tmp_path)
    assert mean.embedding_offsets.tolist() == [0, 1, 2]
    assert mean.embeddings.shape == (2, 16)


def test_without_a_language_model_there_are_no_rows() -> None:
    settings = features(config("nowhere")).model_copy(update={"embedding": None})
    targets, _ = featurize_targets([LYSOZYME, INSULIN], settings)
    assert targets.embeddings.shape == (0, 0)
    assert targets.embeddings.dtype == np.float32
    assert targets.embedding_offsets.tolist() == [0, 0, 0]
    assert pin_embedding(settings) == settings


def lacking(kind: str, folder: Path) -> str:
    """A model that cannot be used, and what the error says."""
    if kind == "nothing":
        return r"no config\.json or no weights as safetensors"
    write_esm(folder)
    weights = folder / "model.safetensors"
    settings = json.loads((folder / "config.json").read_text())
    if kind == "pickled weights":
        torch.save(load_file(weights), folder / "pytorch_model.bin")
        weights.unlink()
        return "a pickle, which is not read"
    if kind == "a layer missing":
        kept = {k: v for k, v in load_file(weights).items() if "encoder.layer.1." not in k}
        save_file(kept, weights, metadata={"format": "pt"})
        return r"lack \d+ parameters of its config\.json, the first is encoder\.layer\.1"
    if kind == "cut short":
        weights.write_bytes(weights.read_bytes()[:-100])
        return "cannot be loaded"
    if kind == "another type":
        (folder / "config.json").write_text(json.dumps({**settings, "model_type": "t5"}))
        return "model of type 't5'; known are 'esm'"
    assert kind == "words"
    vocabulary = [token for token in ESM_VOCABULARY if token not in "AG"]
    (folder / "vocab.txt").write_text("\n".join([*vocabulary, "AA", "GG"]))
    return "reads one token per residue"


@pytest.mark.parametrize(
    "kind",
    ["nothing", "pickled weights", "a layer missing", "cut short", "another type", "words"],
)
def test_a_model_that_cannot_be_used_says_why(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    message = lacking(kind, folder)
    with pytest.raises(DtiError, match=message):
        embed_sequences(["AAGG" + INSULIN], config(folder), tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_is_not_there(esm: Path, tmp_path: Path, layer: int) -> None:
    with pytest.raises(ConfigError, match=rf"layer: {layer}, but .* has 2 layers"):
        embed_sequences([INSULIN], config(esm, layer=layer), tmp_path)


def test_a_wrong_path_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"neither a folder .* nor the name of a model"):
        embed_sequences([INSULIN], config(tmp_path / "no" / "model"), tmp_path)


def test_without_a_network_the_error_says_how_to_fetch_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    name = "facebook/esm2_t12_35M_UR50D"
    with pytest.raises(ModelError, match=rf"hf download {name} --revision main --local-dir"):
        embed_sequences([INSULIN], config(name), tmp_path)
