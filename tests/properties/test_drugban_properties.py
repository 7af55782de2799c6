"""The fast DrugBAN equals the plain equations, whatever the shapes; values and gradients."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.dti.features.store import (
    ATOM_DIM,
    RESIDUE_TOKENS,
    DrugFeatures,
    PairData,
    Scaler,
    Scalers,
    TargetFeatures,
)
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from tests.reference.equations import reference_logits
from tests.reference.norms import randomise_norms
from tests.support.drugban_sizes import drugban_of

CONFIG = drugban_of(
    graph_dim=8, graph_layers=2, residue_dim=6, cnn_filters=(8, 8),
    cnn_kernels=(3, 6), ban_heads=2, ban_dim=4, ban_pooling=3, mlp_hidden_dim=8,
    mlp_out_dim=4, dropout=0.0,
)  # fmt: skip


@st.composite
def pair_data(draw: st.DrawFn) -> PairData:
    """Random molecules (from one atom on), sequences (from one residue on) and pairs of them."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    lengths = draw(st.lists(st.integers(1, 150), min_size=1, max_size=4))
    count = draw(st.integers(1, 8))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bonds = [
        # A tree and some rings: bond i joins atom i + 1 to an earlier one.
        np.stack([np.arange(1, size), generator.integers(0, np.arange(1, size))], axis=1)
        for size in sizes
    ]
    descriptors = np.zeros((len(sizes), 2), np.float32), np.zeros((len(lengths), 2), np.float32)
    return PairData(
        drugs=DrugFeatures(
            atoms=generator.integers(0, 2, (sum(sizes), ATOM_DIM)).astype(np.int8),
            atom_offsets=np.cumsum([0, *sizes]),
            bonds=np.concatenate(bonds).astype(np.int32),
            bond_offsets=np.cumsum([0, *map(len, bonds)]),
            fingerprints=np.zeros((len(sizes), 8), np.uint8),
            descriptors=descriptors[0],
        ),
        targets=TargetFeatures(
            residues=generator.integers(1, RESIDUE_TOKENS, sum(lengths)).astype(np.uint8),
            residue_offsets=np.cumsum([0, *lengths]),
            descriptors=descriptors[1],
            embeddings=np.zeros((0, 0), np.float32),
            embedding_offsets=np.zeros(len(lengths) + 1, np.int64),
        ),
        scalers=Scalers(Scaler.fit(descriptors[0]), Scaler.fit(descriptors[1])),
        drug_index=generator.integers(0, len(sizes), count),
        target_index=generator.integers(0, len(lengths), count),
        labels=generator.integers(0, 2, count).astype(np.float32),
    )


def make_network() -> DrugBANNetwork:
    torch.manual_seed(0)
    network = DrugBANNetwork(CONFIG)
    randomise_norms(network)
    return network.eval()


@settings(max_examples=25, deadline=None)
@given(pair_data())
def test_values_and_gradients_equal_the_plain_equations(pairs: PairData) -> None:
    network = make_network()
    batch = pair_batch(pairs, np.arange(len(pairs)), network)
    order = torch.from_numpy(np.argsort(pairs.target_index, kind="stable"))
    logits = network(batch)
    expected = reference_logits(network, CONFIG, pairs)[order]
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5 * scale)

    assert batch.labels is not None
    gradients = [
        torch.autograd.grad(
            F.binary_cross_entropy_with_logits(values, batch.labels), list(network.parameters())
        )
        for values in (logits, expected)
    ]
    size = max(float(gradient.abs().max()) for gradient in gradients[1])
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-5 * size)


@settings(max_examples=15, deadline=None)
@given(pair_data())
def test_bf16_stays_close(pairs: PairData) -> None:
    """Within 2 %: against one atom and one residue, no sum averages the rounding out."""
    network = make_network()
    batch = pair_batch(pairs, np.arange(len(pairs)), network)
    with torch.no_grad():
        exact = network.joint(batch)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network.joint(batch)
    difference = torch.linalg.vector_norm(rounded.float() - exact)
    assert difference <= 2e-2 * torch.linalg.vector_norm(exact)


@settings(max_examples=15, deadline=None)
@given(pair_data())
def test_the_gram_form_equals_the_pairs_one_by_one(pairs: PairData) -> None:
    model = DrugBAN(make_network())
    scores = model.matrix(pairs.drugs, pairs.targets, pairs.scalers, "float32")
    np.testing.assert_allclose(
        scores[pairs.drug_index, pairs.target_index], model.score(pairs), rtol=1e-5, atol=1e-6
    )
