"""The Gram form of all drugs × all targets against per-pair scores."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from stages.dti.features.store import PairData
from stages.dti.features.targets import featurize_targets, sequences_of
from stages.dti.models.drugban import gram
from stages.dti.models.drugban.matrix import FEW_TARGETS
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from tests.reference.norms import randomise_norms
from tests.support.drugban_sizes import drugban_of
from tests.support.sample_pairs import FEATURES, sample_pairs


@pytest.fixture(scope="module")
def model() -> DrugBAN:
    config = drugban_of(
        graph_dim=16, graph_layers=2, residue_dim=12, cnn_filters=(16, 16),
        cnn_kernels=(3, 6), ban_heads=2, ban_dim=8, ban_pooling=3, mlp_hidden_dim=16,
        mlp_out_dim=8, dropout=0.2,
    )  # fmt: skip
    torch.manual_seed(0)
    network = DrugBANNetwork(config)
    randomise_norms(network)
    return DrugBAN(network)


def every_pair(pairs: PairData) -> np.ndarray:
    return np.stack(
        np.meshgrid(np.arange(len(pairs.drugs)), np.arange(len(pairs.targets)), indexing="ij")
    )


@pytest.fixture(scope="module")
def per_pair(model: DrugBAN) -> np.ndarray:
    pairs = sample_pairs()
    drug, target = every_pair(pairs).reshape(2, -1)
    chosen = PairData(
        drugs=pairs.drugs,
        targets=pairs.targets,
        scalers=pairs.scalers,
        drug_index=drug,
        target_index=target,
    )
    return model.score(chosen).reshape(len(pairs.drugs), len(pairs.targets))


def matrix(model: DrugBAN, precision: str = "float32") -> np.ndarray:
    pairs = sample_pairs()
    return model.matrix(pairs.drugs, pairs.targets, pairs.scalers, precision)  # type: ignore[arg-type]


def test_float32_equals_per_pair_scores(model: DrugBAN, per_pair: np.ndarray) -> None:
    scores = matrix(model)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, per_pair, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("residues", [3, 200])
def test_few_targets_one_after_the_other_equal_per_pair_scores(
    model: DrugBAN, residues: int
) -> None:
    """Short targets, which attend in the plain way, and long ones, which attend by their Gram."""
    pairs = sample_pairs()
    sequences = [text[:residues] for text in sequences_of(
        pairs.targets.residues, pairs.targets.residue_offsets)[:FEW_TARGETS]]  # fmt: skip
    targets, _ = featurize_targets(sequences, FEATURES)
    drug, target = np.divmod(np.arange(len(pairs.drugs) * len(targets)), len(targets))
    each = model.score(PairData(pairs.drugs, targets, pairs.scalers, drug, target))
    scores = model.matrix(pairs.drugs, targets, pairs.scalers, "float32")
    np.testing.assert_allclose(scores.ravel(), each, rtol=1e-5, atol=1e-6)
    rough = model.matrix(pairs.drugs, targets, pairs.scalers, "bf16")
    assert np.sqrt(np.mean((rough.ravel() - each) ** 2)) < 1e-2
    assert np.corrcoef(rough.ravel(), each)[0, 1] > 0.99


def test_bf16_stays_close_and_keeps_the_order(model: DrugBAN, per_pair: np.ndarray) -> None:
    scores = matrix(model, "bf16")
    assert np.sqrt(np.mean((scores - per_pair) ** 2)) < 1e-2
    ranks = [np.argsort(np.argsort(values.ravel())) for values in (scores, per_pair)]
    assert np.corrcoef(ranks)[0, 1] > 0.99


def test_blocks_and_chunks_of_any_size_give_the_same(
    model: DrugBAN, per_pair: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    bytes_per_target = 8 * 80 * 4
    monkeypatch.setattr(gram, "TARGET_BLOCK_BYTES", 7 * bytes_per_target)
    monkeypatch.setattr(gram, "DRUG_CHUNK", 9)
    monkeypatch.setattr(gram, "ENCODE_ROWS", 500)
    monkeypatch.setattr(gram, "CLASSIFY_PAIRS", 13)
    np.testing.assert_allclose(matrix(model), per_pair, rtol=1e-5, atol=1e-6)


def test_the_bias_of_the_attention_counts(model: DrugBAN, per_pair: np.ndarray) -> None:
    """A Gram form without b̄ v̄ q̄ would be another function."""
    bias = model.network.attention.head_bias
    kept = bias.detach().clone()
    try:
        bias.data += 3
        assert np.abs(matrix(model) - per_pair).max() > 1e-3
    finally:
        bias.data = kept


def test_few_drugs_are_held_at_a_time(model: DrugBAN, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many drugs there are, only a chunk and the group it was cut from are encoded."""
    count = len(sample_pairs().drugs)
    held: list[weakref.ref[torch.Tensor]] = []
    most = total = 0
    encode = gram._encoded_drugs

    def watch(*arguments: object) -> Iterator[torch.Tensor]:
        nonlocal most, total
        for v in encode(*arguments):  # type: ignore[arg-type]
            held.append(weakref.ref(v))
            total += 1
            most = max(most, sum(len(rows) for ref in held if (rows := ref()) is not None))
            yield v

    monkeypatch.setattr(gram, "_encoded_drugs", watch)
    monkeypatch.setattr(gram, "TARGET_BLOCK_BYTES", 100_000)
    monkeypatch.setattr(gram, "ENCODE_ROWS", 200)
    monkeypatch.setattr(gram, "DRUG_CHUNK", 5)
    matrix(model)
    assert total > 2 * count, "one block of targets is too few"
    atoms = int(sample_pairs().drugs.atom_offsets[-1])
    assert 0 < most < atoms / 4


def test_memory_is_bounded_by_the_block(model: DrugBAN, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many targets there are, only a block's Gram matrices exist at a time."""
    largest = 0
    fill = gram._fill_targets

    def watch(block: torch.Tensor, *arguments: object) -> None:
        nonlocal largest
        largest = max(largest, block.numel() * block.element_size())
        fill(block, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(gram, "_fill_targets", watch)
    monkeypatch.setattr(gram, "TARGET_BLOCK_BYTES", 50_000)
    matrix(model)
    assert 0 < largest <= 50_000
