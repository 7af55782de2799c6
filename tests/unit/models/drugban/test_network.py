"""DrugBAN's packed network against the plain equations, and its promises as a model."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stages.dti.config.features import FeaturesConfig
from stages.dti.config.model import DrugBANConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import PADDING_TOKEN, PairData, Scaler, Scalers
from stages.dti.features.targets import featurize_targets
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from stages.dti.models.drugban.ops import RowBatchNorm
from stages.dti.models.drugban.sequence_encoder import sequence_batch
from tests.reference.equations import reference_logits
from tests.reference.norms import randomise_norms
from tests.support.drugban_sizes import drugban_of
from tests.support.prepared_tables import DEFAULTS

SMILES = [
    "C",  # one atom, no bond
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",  # caffeine
    "CC(=O)OC1=CC=CC=C1C(=O)O",  # aspirin
    "CC(C)CC1=CC=C(C=C1)C(C)C(=O)O",  # ibuprofen
]
SEQUENCES = [
    "MPIMGSSVYITVELAIAVLAILGNVLVCWAVWLNSNLQNVTNYFVVSLAAADIAVGVLAIPFAITISTGFCAACHGCLFIACFVLVLTQ",
    "MKTAYIAKQRQISFVKSHFSRQ",
    "M",  # shorter than every kernel
]


@pytest.fixture(scope="module")
def config() -> DrugBANConfig:
    return drugban_of(
        graph_dim=12, graph_layers=2, residue_dim=10, cnn_filters=(8, 9, 11),
        cnn_kernels=(3, 6, 9), ban_heads=3, ban_dim=7, ban_pooling=3, mlp_hidden_dim=13,
        mlp_out_dim=6, dropout=0.2,
    )  # fmt: skip


def data(pairs: list[tuple[int, int]], labels: list[float] | None = None) -> PairData:
    features = FeaturesConfig(
        fingerprint_radius=2, fingerprint_bits=64, max_residues=1200, kmer_bins=0
    )
    drugs, bad_drugs = featurize_drugs(SMILES, features)
    targets, bad_targets = featurize_targets(SEQUENCES, features)
    assert not bad_drugs
    assert not bad_targets
    index = np.array(pairs, dtype=np.int64)
    return PairData(
        drugs=drugs,
        targets=targets,
        scalers=Scalers(Scaler.fit(drugs.descriptors), Scaler.fit(targets.descriptors)),
        drug_index=index[:, 0],
        target_index=index[:, 1],
        labels=None if labels is None else np.array(labels, dtype=np.float32),
    )


@pytest.fixture
def network(config: DrugBANConfig) -> DrugBANNetwork:
    """Random weights, biases and batch-norm statistics, so that nothing cancels."""
    torch.manual_seed(0)
    network = DrugBANNetwork(config)
    randomise_norms(network)
    return network.eval()


ALL_PAIRS = [(drug, target) for drug in range(len(SMILES)) for target in range(len(SEQUENCES))]

SHAPES = {
    "every pair": ALL_PAIRS,
    "one pair": [(1, 0)],
    "one atom, one residue": [(0, 2)],
    "all pairs share a target": [(drug, 1) for drug in range(4)],
    "no two pairs share anything": [(0, 0), (1, 1), (2, 2)],
    "one pair twice": [(3, 0), (3, 0)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_network_equals_the_plain_equations(
    network: DrugBANNetwork, config: DrugBANConfig, shape: str
) -> None:
    pairs = data(SHAPES[shape])
    batch = pair_batch(pairs, np.arange(len(pairs)), network)
    order = np.argsort(pairs.target_index, kind="stable")
    expected = reference_logits(network, config, pairs)[torch.from_numpy(order)]
    torch.testing.assert_close(network(batch), expected, rtol=1e-5, atol=1e-5)


def test_bf16_stays_within_a_hundredth_on_real_molecules_and_sequences(
    network: DrugBANNetwork,
) -> None:
    pairs = data([(drug, target) for drug in (1, 2, 3) for target in (0, 1)])
    batch = pair_batch(pairs, np.arange(len(pairs)), network)
    with torch.no_grad():
        exact = network.joint(batch)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network.joint(batch)
    difference = torch.linalg.vector_norm(rounded.float() - exact)
    assert difference <= 1e-2 * torch.linalg.vector_norm(exact)


def test_gradients_equal_those_of_the_plain_equations(
    network: DrugBANNetwork, config: DrugBANConfig
) -> None:
    labels = [float(i % 2) for i in range(len(ALL_PAIRS))]
    pairs = data(ALL_PAIRS, labels)
    batch = pair_batch(pairs, np.arange(len(pairs)), network)
    assert batch.labels is not None
    parameters = dict(network.named_parameters())
    F.binary_cross_entropy_with_logits(network(batch), batch.labels).backward()  # type: ignore[no-untyped-call]
    fast = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}
    network.zero_grad()
    plain = reference_logits(network, config, pairs)
    F.binary_cross_entropy_with_logits(plain, torch.tensor(labels)).backward()  # type: ignore[no-untyped-call]
    assert set(fast) == set(parameters)
    for name, p in parameters.items():
        assert p.grad is not None
        torch.testing.assert_close(fast[name], p.grad, rtol=2e-4, atol=2e-6, msg=name)


def test_a_target_is_encoded_the_same_beside_others_whatever_the_padding_token_holds(
    network: DrugBANNetwork,
) -> None:
    with torch.no_grad():
        network.target_encoder.embedding.weight[PADDING_TOKEN] = 100.0
    targets, gap = data([(0, 0)]).targets, network.target_encoder.gap
    packed = sequence_batch(targets, np.arange(3), gap)
    together = network.target_encoder(packed)
    for i in range(3):
        alone = network.target_encoder(sequence_batch(targets, np.array([i]), gap))
        length = packed.ends[i] - packed.starts[i]
        torch.testing.assert_close(together[packed.starts[i] : packed.ends[i]], alone[:length])


def test_score_equals_the_plain_equations(network: DrugBANNetwork, config: DrugBANConfig) -> None:
    pairs = data(ALL_PAIRS)
    expected = torch.sigmoid(reference_logits(network, config, pairs)).detach().numpy()
    np.testing.assert_allclose(DrugBAN(network).score(pairs), expected, rtol=1e-5, atol=1e-6)


def test_score_is_the_same_to_the_last_bit_in_any_company(network: DrugBANNetwork) -> None:
    model = DrugBAN(network)
    together = model.score(data(ALL_PAIRS))
    alone = [model.score(data([pair]))[0] for pair in ALL_PAIRS]
    backwards = model.score(data(ALL_PAIRS[::-1]))[::-1]
    assert together.tolist() == alone
    assert together.tolist() == backwards.tolist()


def test_score_keeps_nothing_of_the_weights_from_call_to_call(network: DrugBANNetwork) -> None:
    model = DrugBAN(network)
    for name in ("drug_projection", "target_projection", "head_weights", "head_bias"):
        before = model.score(data(ALL_PAIRS))
        with torch.no_grad():
            for parameter_name, parameter in network.attention.named_parameters():
                if parameter_name.startswith(name):
                    parameter += torch.rand_like(parameter)
        after = model.score(data(ALL_PAIRS))
        assert after.tolist() != before.tolist(), name
        assert after.tolist() == DrugBAN(copy.deepcopy(network)).score(data(ALL_PAIRS)).tolist()


def test_score_does_not_depend_on_the_thread_count(network: DrugBANNetwork) -> None:
    model = DrugBAN(network)
    before = torch.get_num_threads()
    scores = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            scores.append(model.score(data(ALL_PAIRS)).tolist())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert scores[0] == scores[1]


def test_saved_and_loaded_scores_the_same_bits(
    network: DrugBANNetwork, config: DrugBANConfig, tmp_path: Path
) -> None:
    model = DrugBAN(network)
    model.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]
    loaded = DrugBAN.load(config, tmp_path)
    assert loaded.score(data(ALL_PAIRS)).tolist() == model.score(data(ALL_PAIRS)).tolist()


def test_saving_again_writes_the_same_bytes(network: DrugBANNetwork, tmp_path: Path) -> None:
    written = set()
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        DrugBAN(network).save(folder)
        written.add((folder / "weights.safetensors").read_bytes())
    assert len(written) == 1


def test_masked_batch_norm_equals_batch_norm_of_the_real_rows() -> None:
    torch.manual_seed(0)
    real, gaps = torch.tensor([0, 1, 3, 5]), torch.tensor([2, 4])
    rows = torch.randn(6, 4)
    ours, plain = RowBatchNorm(4), torch.nn.BatchNorm1d(4)
    for norm in (ours, plain):
        torch.nn.init.constant_(norm.weight, 1.7)
        torch.nn.init.constant_(norm.bias, 0.3)
    expected = plain(rows[real])
    result = ours(rows, gaps)
    torch.testing.assert_close(result[real], expected)
    assert (result[gaps] == 0).all()
    torch.testing.assert_close(ours.running_mean, plain.running_mean)
    torch.testing.assert_close(ours.running_var, plain.running_var)
    result = ours.eval()(rows, gaps)
    torch.testing.assert_close(result[real], plain.eval()(rows[real]))
    assert (result[gaps] == 0).all()


def test_crops_are_windows_of_the_sequence_and_leave_short_ones_whole() -> None:
    targets = data([(0, 0)]).targets
    whole = [
        targets.residues[targets.residue_offsets[i] : targets.residue_offsets[i + 1]].tolist()
        for i in range(3)
    ]
    generator = np.random.default_rng(0)
    starts = set()
    for _ in range(50):
        batch = sequence_batch(targets, np.arange(3), gap=8, crop=30, generator=generator)
        pieces = [
            batch.tokens[start:end].tolist()
            for start, end in zip(batch.starts, batch.ends, strict=True)
        ]
        assert [len(piece) for piece in pieces] == [30, 22, 1]
        assert pieces[1:] == whole[1:]
        windows = [whole[0][i : i + 30] for i in range(len(whole[0]) - 29)]
        starts.add(windows.index(pieces[0]))
        assert (batch.tokens != PADDING_TOKEN).sum() == 53
        assert len(batch.gaps) == len(batch.tokens) - 53
    assert len(starts) > 10


def test_published_sizes_compose(config: DrugBANConfig) -> None:
    """The default configuration has the published network's parameter shapes."""
    network = DrugBANNetwork(DrugBANConfig.model_validate(DEFAULTS["model"]))
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    assert shapes["drug_encoder.embedding.weight"] == (128, 74)
    assert shapes["target_encoder.convolutions.2.weight"] == (128, 128, 1, 9)
    assert shapes["attention.head_weights"] == (2, 768)
    assert shapes["classifier.linears.0.weight"] == (512, 256)
    assert shapes["classifier.linears.2.weight"] == (128, 512)
