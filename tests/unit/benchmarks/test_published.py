"""The network as its authors publish it: where it is ours, and what keeps it from being ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.dti.config.model import DrugBANConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import PairData, Scaler, Scalers
from stages.dti.features.targets import featurize_targets
from stages.dti.models.drugban.network import DrugBANNetwork
from tests.benchmarks.parity import scale_joint_norm
from tests.reference.equations import reference_logits
from tests.reference.norms import randomise_norms
from tests.reference.padded import PaddedBatch, padded_batch, with_weights_of
from tests.reference.published import PublishedDrugBAN, corrected_with_weights_of
from tests.reference.sizes import NetworkSizes, Padding
from tests.support.drugban_sizes import drugban_of
from tests.support.sample_pairs import FEATURES

SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "CC(C)(C)c1ccccc1CCC", "CC(=O)Nc1ccc(OCC)cc1"]
SEQUENCES = ["MPIMGSSVYITVELAIAVLAILGNVLVCWAVWLNSNLQNV", "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRV"]
EXACT = Padding(atoms=13, residues=40)
"""All drugs and targets are of this size: nothing is padded."""


def config_of(kernels: tuple[int, ...]) -> DrugBANConfig:
    return drugban_of(
        graph_dim=32, graph_layers=2, residue_dim=20, cnn_filters=(24, 20, 28), cnn_kernels=kernels,
        ban_heads=2, ban_dim=32, ban_pooling=3, mlp_hidden_dim=32, mlp_out_dim=24, dropout=0.2,
    )  # fmt: skip


def engine(kernels: tuple[int, ...]) -> tuple[DrugBANNetwork, NetworkSizes]:
    """Random weights, biases and batch-norm statistics."""
    torch.manual_seed(0)
    network = DrugBANNetwork(config_of(kernels))
    randomise_norms(network)
    scale_joint_norm(network, every_pair())
    return network, NetworkSizes.of(config_of(kernels))


def every_pair() -> PairData:
    drugs, _ = featurize_drugs(SMILES, FEATURES)
    targets, _ = featurize_targets(SEQUENCES, FEATURES)
    index = np.array([(drug, target) for drug in range(3) for target in range(2)])
    scalers = Scalers(Scaler.fit(drugs.descriptors), Scaler.fit(targets.descriptors))
    return PairData(drugs, targets, scalers, index[:, 0], index[:, 1])


def batch_of(padding: Padding) -> PaddedBatch:
    return padded_batch(every_pair(), np.arange(6), padding)


@torch.no_grad()
def difference(corrected: PublishedDrugBAN, padding: Padding) -> float:
    """The largest one of logits from the plain equations, over the largest logit."""
    network, _ = engine((1, 1, 1))
    plain = reference_logits(network, config_of((1, 1, 1)), every_pair())
    return float((corrected(batch_of(padding)) - plain).abs().max() / plain.abs().max())


def test_corrected_it_is_the_plain_equations_where_nothing_is_padded() -> None:
    assert difference(corrected_with_weights_of(*engine((1, 1, 1)), EXACT), EXACT) < 1e-5


@pytest.mark.parametrize("encoder", ["drug_encoder", "target_encoder"])
def test_neither_the_second_self_loop_nor_the_reshape_is_our_function(encoder: str) -> None:
    published = corrected_with_weights_of(*engine((1, 1, 1)), EXACT)
    published.get_submodule(encoder).corrected = False
    assert difference(published, EXACT) > 1e-2


@pytest.mark.parametrize(
    "padding",
    [replace(EXACT, atoms=26), replace(EXACT, residues=80)],
    ids=["virtual atoms", "positions after the sequence"],
)
def test_padding_takes_part(padding: Padding) -> None:
    assert difference(corrected_with_weights_of(*engine((1, 1, 1)), padding), padding) > 1e-4


def test_f_is_a_sum_over_all_cells() -> None:
    mean = corrected_with_weights_of(*engine((1, 1, 1)), Padding(atoms=1, residues=1))
    assert difference(mean, EXACT) > 1e-1


@pytest.mark.parametrize("padding", [EXACT, Padding(290, 1200)], ids=["exact", "published"])
def test_rows_of_atoms_and_of_whole_windows_are_ours_whatever_the_padding(padding: Padding) -> None:
    network, sizes = engine((3, 6, 9))
    published = corrected_with_weights_of(network, sizes, padding)
    padded = with_weights_of(network, sizes)
    batch, (before, after) = batch_of(padding), published.shift
    assert (before, after) == (8, 7)
    with torch.no_grad():
        drugs, ours = published.encode_drugs(batch.drugs), padded.encode_drugs(batch.drugs)
        torch.testing.assert_close(drugs[:, : EXACT.atoms], ours[:, : EXACT.atoms])
        targets, ours = (
            published.encode_targets(batch.targets),
            padded.encode_targets(batch.targets),
        )
    assert targets.shape[1] == padding.residues - 15
    whole = EXACT.residues - before - after
    torch.testing.assert_close(targets[:, :whole], ours[:, before:][:, :whole])


def as_published() -> tuple[PublishedDrugBAN, PublishedDrugBAN]:
    """The same weights as published, and corrected."""
    _, sizes = engine((3, 6, 9))
    published = PublishedDrugBAN(sizes)
    randomise_norms(published)
    corrected = PublishedDrugBAN(sizes, corrected=True)
    corrected.load_state_dict(published.state_dict())
    return published.eval(), corrected.eval()


@torch.no_grad()
def test_the_reshape_scrambles_positions() -> None:
    published, corrected = as_published()
    tokens = batch_of(EXACT).targets.tokens
    scrambled: Tensor = published.target_encoder(tokens)
    rows: Tensor = corrected.target_encoder(tokens)
    assert scrambled.shape == rows.shape == (6, 25, 28)
    torch.testing.assert_close(scrambled.flatten(1), rows.transpose(1, 2).flatten(1))
    torch.testing.assert_close(scrambled[:, 0, :25], rows[:, :25, 0])  # positions of one filter


@torch.no_grad()
def test_an_atom_has_two_self_loops_and_a_virtual_atom_one() -> None:
    published, corrected = as_published()
    drugs = batch_of(Padding(atoms=15, residues=40)).drugs
    real = torch.arange(6 * 15).view(6, 15)[:, :13].flatten()
    twice = replace(
        drugs,
        sources=torch.cat([drugs.sources, real]),
        destinations=torch.cat([drugs.destinations, real]),
    )
    torch.testing.assert_close(published.drug_encoder(drugs), corrected.drug_encoder(twice))


def test_virtual_atoms_are_not_silenced() -> None:
    weight = as_published()[0].drug_encoder.embedding.weight
    assert not weight[-1].any()
    assert weight[:-1, -1].all()
