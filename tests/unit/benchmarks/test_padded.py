"""The padded reference against the engine and against the plain equations: one function, thrice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.dti.errors import DataError
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import PADDING_TOKEN, PairData, Scaler, Scalers
from stages.dti.features.targets import featurize_targets
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from tests.reference.equations import reference_logits
from tests.reference.norms import randomise_norms
from tests.reference.padded import (
    PaddedDrugBAN,
    padded_batch,
    padded_drugs,
    padded_targets,
    with_weights_of,
)
from tests.reference.sizes import NetworkSizes, Padding
from tests.support.drugban_sizes import drugban_of
from tests.support.sample_pairs import FEATURES

CONFIG = drugban_of(
    graph_dim=12, graph_layers=2, residue_dim=10, cnn_filters=(8, 9, 11),
    cnn_kernels=(3, 6, 9), ban_heads=3, ban_dim=7, ban_pooling=3, mlp_hidden_dim=13,
    mlp_out_dim=6, dropout=0.2,
)  # fmt: skip
SIZES = NetworkSizes.of(CONFIG)

SMILES = [
    "C",  # one atom, no bond
    "[Na+].[Cl-]",  # two atoms, no bond
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",  # caffeine
    "CC(=O)OC1=CC=CC=C1C(=O)O",  # aspirin
    "CC(C)CC1=CC=C(C=C1)C(C)C(=O)O",  # ibuprofen
]
SEQUENCES = [
    "MPIMGSSVYITVELAIAVLAILGNVLVCWAVWLNSNLQNVTNYFVVSLAAADIAVGVLAIPFAITISTGFCAACHGCLFIACFVLVLTQ",
    "MKTAYIAKQRQISFVKSHFSRQ",
    "MK",
    "M",  # shorter than every kernel
]
MOST = Padding(atoms=15, residues=89)


def pair_data(pairs: list[tuple[int, int]]) -> PairData:
    drugs, _ = featurize_drugs(SMILES, FEATURES)
    targets, _ = featurize_targets(SEQUENCES, FEATURES)
    index = np.array(pairs, dtype=np.int64)
    return PairData(
        drugs=drugs,
        targets=targets,
        scalers=Scalers(Scaler.fit(drugs.descriptors), Scaler.fit(targets.descriptors)),
        drug_index=index[:, 0],
        target_index=index[:, 1],
        labels=(np.arange(len(pairs)) % 2).astype(np.float32),
    )


def engine() -> DrugBANNetwork:
    """Random weights, biases and batch-norm statistics, so that nothing cancels."""
    torch.manual_seed(0)
    network = DrugBANNetwork(CONFIG)
    randomise_norms(network)
    return network.eval()


PAIR = st.tuples(st.integers(0, len(SMILES) - 1), st.integers(0, len(SEQUENCES) - 1))


@settings(max_examples=25, deadline=None)
@given(
    pairs=st.lists(PAIR, min_size=1, max_size=6),
    more_atoms=st.integers(0, 5),
    more_residues=st.integers(0, 40),
)
def test_reference_equals_engine_and_equations_whatever_the_padding(
    pairs: list[tuple[int, int]], more_atoms: int, more_residues: int
) -> None:
    data, network = pair_data(pairs), engine()
    reference = with_weights_of(network, SIZES)
    rows = np.arange(len(pairs))
    with torch.no_grad():
        padded = reference(
            padded_batch(
                data, rows, Padding(MOST.atoms + more_atoms, MOST.residues + more_residues)
            )
        )
        packed = network(pair_batch(data, rows, network))
        plain = reference_logits(network, CONFIG, data)
    torch.testing.assert_close(padded, plain, rtol=1e-5, atol=1e-5)
    by_target = torch.from_numpy(np.argsort(data.target_index, kind="stable"))
    torch.testing.assert_close(padded[by_target], packed, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "pairs",
    [
        [(drug, target) for drug in range(5) for target in range(4)],
        [(2, 0)],
        [(drug, 1) for drug in range(5)],
        [(0, 3), (3, 0)],
    ],
    ids=["every pair", "one pair", "one target", "nothing shared"],
)
def test_gradients_of_reference_engine_and_equations_are_equal(
    pairs: list[tuple[int, int]],
) -> None:
    data, network = pair_data(pairs), engine()
    reference = with_weights_of(network, SIZES)
    rows = np.arange(len(pairs))

    def gradients(module: torch.nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> dict:  # type: ignore[type-arg]
        module.zero_grad()
        F.binary_cross_entropy_with_logits(logits, labels).backward()  # type: ignore[no-untyped-call]
        return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}

    batch = padded_batch(data, rows, Padding(MOST.atoms + 2, MOST.residues + 5))
    assert batch.labels is not None
    padded = gradients(reference, reference(batch), batch.labels)
    packed_batch = pair_batch(data, rows, network)
    assert packed_batch.labels is not None
    packed = gradients(network, network(packed_batch), packed_batch.labels)
    plain = gradients(network, reference_logits(network, CONFIG, data), batch.labels)
    assert set(padded) == {name for name, _ in reference.named_parameters()}
    for name, gradient in padded.items():
        torch.testing.assert_close(gradient, plain[name], rtol=2e-4, atol=2e-6, msg=name)
        torch.testing.assert_close(gradient, packed[name], rtol=2e-4, atol=2e-6, msg=name)


def test_the_padding_row_of_the_embedding_does_not_count() -> None:
    network, data = engine(), pair_data([(2, 1)])
    reference = with_weights_of(network, SIZES)
    batch = padded_batch(data, np.array([0]), Padding(20, 100))
    with torch.no_grad():
        before = reference(batch)
        reference.target_encoder.embedding.weight[PADDING_TOKEN] = 100.0
        torch.testing.assert_close(reference(batch), before)


def test_a_training_step_moves_every_weight() -> None:
    torch.manual_seed(0)
    reference = PaddedDrugBAN(SIZES).train()
    data = pair_data([(2, 0), (3, 1), (4, 0), (2, 1)])
    batch = padded_batch(data, np.arange(4), MOST)
    before = {name: p.detach().clone() for name, p in reference.named_parameters()}
    optimizer = torch.optim.Adam(reference.parameters(), lr=0.01)
    assert batch.labels is not None
    F.binary_cross_entropy_with_logits(reference(batch), batch.labels).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    moved = {name for name, p in reference.named_parameters() if not torch.equal(p, before[name])}
    assert moved == set(before)


def test_what_does_not_fit_the_padding_says_which_setting_to_raise() -> None:
    data = pair_data([(2, 0)])
    with pytest.raises(DataError, match=r"14 atoms .* benchmark\.padded_atoms=13; raise it"):
        padded_drugs(data.drugs, [2], Padding(13, 89))
    with pytest.raises(DataError, match=r"89 residues .*\n?.*padded_residues=88; raise it"):
        padded_targets(data.targets, [0], Padding(14, 88))
