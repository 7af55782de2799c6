"""Operations by formula, against counted ones."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from tests.benchmarks import flops
from tests.reference.padded import PaddedDrugBAN, padded_batch
from tests.reference.sizes import NetworkSizes, Padding
from tests.support.drugban_sizes import drugban_of
from tests.support.sample_pairs import sample_pairs

NETWORK = drugban_of(
    graph_dim=12, graph_layers=2, residue_dim=10, cnn_filters=(8, 9, 11),
    cnn_kernels=(3, 5, 9), ban_heads=3, ban_dim=7, ban_pooling=3, mlp_hidden_dim=13,
    mlp_out_dim=6, dropout=0.0,
)  # fmt: skip
SIZES = NetworkSizes.of(NETWORK)


def test_reference_formula_is_what_its_operators_count() -> None:
    network, pairs, padding = PaddedDrugBAN(SIZES).eval(), 3, Padding(60, 1200)
    data = sample_pairs()
    batch = padded_batch(data, np.arange(pairs), padding)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(batch)
    expected = flops.reference_flop(SIZES, flops.PairCounts.padded(pairs, padding))
    assert counted.get_total_flops() == expected


def test_engine_formula_is_a_lower_bound_of_what_its_operators_count() -> None:
    """The engine rounds sizes up to tiles, and folds the embedding into the first convolution."""
    data, network = sample_pairs(), DrugBANNetwork(NETWORK).eval()
    rows = np.flatnonzero(data.target_index == data.target_index[0])
    batch = pair_batch(data, rows, network)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(batch)
    formula = flops.explicit_flop(SIZES, flops.PairCounts.of(data, rows))
    assert formula <= counted.get_total_flops() < 1.6 * formula


def test_counts_hold_each_drug_and_target_once_and_each_pair_as_often_as_it_stands() -> None:
    data = sample_pairs()
    rows = np.array([0, 0, 1])
    counts = flops.PairCounts.of(data, rows)
    atoms = np.diff(data.drugs.atom_offsets)[data.drug_index[:2]]
    residues = np.diff(data.targets.residue_offsets)[data.target_index[:2]]
    unique_drugs = len(set(data.drug_index[:2].tolist()))
    assert counts.pairs == 3
    assert counts.atoms == (atoms.sum() if unique_drugs == 2 else atoms[0])
    assert counts.cells == 2 * atoms[0] * residues[0] + atoms[1] * residues[1]


def test_formulas_by_hand() -> None:
    counts = flops.PairCounts(pairs=6, atoms=20, residues=300, cells=1000)
    layers = 2 * 12 * 12 * 2
    drugs = 2 * 20 * (74 * 12 + layers + 12 * 21)
    convolutions = 26 * 8 * 3 + 8 * 9 * 5 + 9 * 11 * 9
    targets = 2 * 300 * (convolutions + 11 * 21)
    classifier = 2 * 6 * (7 * 13 + 13 * 13 + 13 * 6 + 6)
    assert flops.explicit_flop(SIZES, counts) == drugs + targets + classifier + 4 * 1000 * 21
    gram = 2 * 21 * 21 * (20 + 300 + 6)
    assert flops.gram_flop(SIZES, counts) == drugs + targets + classifier + gram
