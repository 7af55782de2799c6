"""The engine beside the padded form in numbers: parity, the top of a screen in both precisions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from stages.dti.config.base import build
from stages.dti.config.reproducibility import ReproducibilityConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.models.base import Precision
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.paths import Paths
from stages.dti.training.export import load_training_data
from tests.benchmarks.__main__ import configuration
from tests.benchmarks.agreement import Screened, overlap, shared_top
from tests.benchmarks.config import BenchmarkConfig
from tests.benchmarks.inputs import Inputs
from tests.benchmarks.parity import (
    PairSet,
    Parity,
    compare,
    pair_sets,
    parity_rows,
    scale_joint_norm,
    training_mode,
    without_dropout,
)
from tests.benchmarks.tables import parity_markdown
from tests.reference.norms import randomise_norms
from tests.reference.padded import PaddedDrugBAN
from tests.reference.sizes import NetworkSizes, Padding
from tests.support.drugban_sizes import drugban_of
from tests.support.prepared_tables import section, write_features, write_tables

NETWORK = drugban_of(
    graph_dim=12, graph_layers=2, residue_dim=10, cnn_filters=(8, 9, 11),
    cnn_kernels=(3, 5, 9), ban_heads=3, ban_dim=7, ban_pooling=3, mlp_hidden_dim=13,
    mlp_out_dim=6, dropout=0.1,
)  # fmt: skip
SIZES = NetworkSizes.of(NETWORK)
PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    root = tmp_path_factory.mktemp("benchmark")
    write_tables(root)
    write_features(root)
    plain = configuration(["benchmark.reference_pairs=8"], tiny=True)
    return Inputs(
        settings=build(BenchmarkConfig, plain["benchmark"], "benchmark"),
        network=NETWORK,
        trainer=section(TrainerConfig, "trainer", batch_size=8, pairs_per_target=4),
        reproducibility=section(ReproducibilityConfig, "reproducibility", threads=1),
        data=load_training_data(Paths(root, root)),
        model_folder=root,
        library=["CCO", "c1ccccc1", "CCN"],
    )


def test_engine_and_padded_form_are_one_function_on_every_set(inputs: Inputs) -> None:
    sets = pair_sets(inputs)
    rows = parity_rows(
        Parity(without_dropout(NETWORK), training_mode(inputs), sets, PRECISIONS, seed=0)
    )
    assert {row["pairs"] for row in rows} == {
        "training_mode", "published_network", *(each.name for each in sets),
    }  # fmt: skip
    parts = {row["part"] for row in rows if row["pairs"] == "training_pairs"}
    assert parts == {
        "logits", "drug_rows", "target_rows", "gram_form", "pair_by_pair", "gradients",
    }  # fmt: skip
    published = {row["part"] for row in rows if row["pairs"] == "published_network"}
    assert published == {"drug_rows", "target_rows"}
    for row in rows:
        difference = row.get("relative_to_largest_gradient", row["relative_difference"])
        exact = 1e-3 if row["pairs"] == "training_mode" else 2e-5
        limit = exact if row["precision"] == "float32" else 0.5
        assert difference < limit, row
        assert row["relative_difference"] > 0 or row["precision"] == "float32", row
    text = parity_markdown({"what": "Both", "rows": rows})
    lines = [line for line in text.splitlines() if line.startswith("| training pairs")]
    assert len(lines) == len(parts)
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize(
    ("parameter", "part"),
    [
        ("drug_encoder.layers.0.convolution.bias", "drug_rows"),
        ("target_encoder.norms.1.running_mean", "target_rows"),
        ("attention.head_bias", "gram_form"),
        ("attention.head_weights", "pair_by_pair"),
        ("classifier.linears.1.weight", "gradients"),
        ("classifier.logit.bias", "logits"),
    ],
)
def test_a_weight_that_differs_shows_in_the_parity(
    inputs: Inputs, parameter: str, part: str
) -> None:
    torch.manual_seed(0)
    network, reference = DrugBANNetwork(without_dropout(NETWORK)), PaddedDrugBAN(SIZES)
    pairs = PairSet("some", inputs.pair_data(inputs.some_pairs(6)), Padding(290, 1200))
    randomise_norms(network)
    scale_joint_norm(network, pairs.data)
    state = network.state_dict()
    reference.load_state_dict(state)

    def difference() -> float:
        (row,) = (
            row for row in compare(pairs, network, reference, ["float32"]) if row["part"] == part
        )
        return float(row["relative_difference"])

    before = difference()
    reference.load_state_dict(state | {parameter: state[parameter] * 1.1 + 0.1})
    assert before < 1e-4
    assert difference() > 100 * before + 1e-4


def test_the_padded_form_is_in_eval_mode_wherever_there_is_padding(inputs: Inputs) -> None:
    assert not any(pairs.training for pairs in pair_sets(inputs))
    pairs = training_mode(inputs)
    assert pairs.training
    atoms, residues = pairs.data.drugs.atom_offsets, pairs.data.targets.residue_offsets
    assert set(np.diff(atoms)) == {pairs.padding.atoms}
    assert set(np.diff(residues)) == {pairs.padding.residues}
    assert len(set(pairs.data.target_index)) == len(pairs.data) > 1


def test_the_share_of_the_top_is_counted_by_target() -> None:
    wanted = np.array([[0, 5], [1, 6]])
    assert overlap(wanted, np.array([[1, 5], [0, 7]])).tolist() == [1.0, 0.5]


def test_a_screen_in_bf16_shares_most_of_the_top_with_float32(inputs: Inputs) -> None:
    pairs = inputs.data.train
    found = shared_top(Screened(NETWORK, pairs.drugs, pairs.targets, pairs, seed=0))
    assert (found["drugs"], found["targets"]) == (len(pairs.drugs), len(pairs.targets))
    assert 0.5 < found["shared_least"] <= found["shared_mean"] <= 1
    assert found["shared_mean"] <= found["held_by_candidates_mean"] <= 1
    assert found["targets_with_equal_sets"] <= found["targets"]


def test_a_screen_of_more_drugs_than_are_approved_takes_training_drugs_none_twice(
    inputs: Inputs,
) -> None:
    assert inputs.screened_drugs(2) == inputs.library[:2]
    every = inputs.screened_drugs(10_000)
    assert every[:3] == inputs.library
    assert set(every) == {*inputs.library, *inputs.data.reference.smiles}
    assert len(every) == len(set(every))
