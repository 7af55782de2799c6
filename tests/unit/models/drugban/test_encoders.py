"""The encoders and interactions that DrugBAN can be made of: each against its plain equations,
and every combination against the promises that all models make."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.dti.config.base import build
from stages.dti.config.model import DrugBANConfig, GraphConfig, ModelConfig
from stages.dti.errors import ConfigError
from stages.dti.features.store import DrugFeatures, PairData, TargetFeatures
from stages.dti.models.drugban.encoders import Widths
from stages.dti.models.drugban.graph_encoder import GraphEncoder, graph_batch
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from tests.reference.norms import randomise_norms
from tests.support.sample_pairs import alone, sample_pairs, take

DRUGS: dict[str, dict[str, Any]] = {
    "gcn": {"name": "graph", "layer": "gcn", "dim": 12, "layers": 2},
    "gin": {"name": "graph", "layer": "gin", "dim": 12, "layers": 2},
    "gatv2": {"name": "graph", "layer": "gatv2", "dim": 12, "layers": 2},
    "fingerprint": {"name": "fingerprint", "hidden_dim": 14},
    "descriptors": {"name": "descriptors", "hidden_dim": 9},
}
TARGETS: dict[str, dict[str, Any]] = {
    "sequence_cnn": {
        "name": "sequence_cnn",
        "residue_dim": 6,
        "filters": [8, 10],
        "kernels": [3, 4],
    },
    "descriptors": {"name": "descriptors", "hidden_dim": 11},
    "embedding": {"name": "embedding", "hidden_dim": 13},
    "residue embeddings": {"name": "embedding", "hidden_dim": 13},
}
INTERACTIONS: dict[str, dict[str, Any]] = {
    "ban": {"name": "ban", "heads": 2, "dim": 7, "pooling": 3},
    "concat": {"name": "concat", "dim": 15},
}  # fmt: skip
COMBINATIONS = list(product(DRUGS, TARGETS, INTERACTIONS))
EACH_ONCE = [
    *((drug, "sequence_cnn", "ban") for drug in DRUGS),
    *(("gcn", target, "ban") for target in TARGETS),
    ("fingerprint", "descriptors", "ban"),
    ("gcn", "residue embeddings", "concat"),
    ("fingerprint", "embedding", "concat"),
]


@lru_cache(maxsize=2)
def data(*, per_residue: bool) -> PairData:
    """Sample pairs of 12 drugs and 4 targets, with made-up embeddings 5 wide."""
    whole = sample_pairs()
    rows = np.flatnonzero((whole.drug_index < 12) & (whole.target_index % 60 < 4))[:12]
    targets = whole.targets
    sizes = np.diff(targets.residue_offsets) if per_residue else np.ones(len(targets), np.int64)
    values = np.random.default_rng(0).normal(size=(sizes.sum(), 5)) * [1, 100, 0.01, 1, 1]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    targets = replace(targets, embeddings=values.astype(np.float32), embedding_offsets=offsets)
    return take(replace(whole, targets=targets), rows)


def pairs_for(target: str) -> PairData:
    return data(per_residue=target == "residue embeddings")


def config(drug: str, target: str, interaction: str) -> DrugBANConfig:
    plain = {
        "name": "drugban",
        "drug": DRUGS[drug],
        "target": TARGETS[target],
        "interaction": INTERACTIONS[interaction],
        "mlp_hidden_dim": 8,
        "mlp_out_dim": 5,
        "dropout": 0.1,
        "mlp_dropout": 0.1,
    }
    return DrugBANConfig.model_validate(plain)


def network_of(settings: DrugBANConfig, pairs: PairData) -> DrugBANNetwork:
    torch.manual_seed(0)
    network = DrugBANNetwork(settings, Widths.of(settings, pairs.drugs, pairs.targets))
    randomise_norms(network)
    return network.eval()


def norm(x: Tensor, p: dict[str, Tensor], at: str) -> Tensor:
    scaled = (x - p[f"{at}.running_mean"]) / (p[f"{at}.running_var"] + 1e-5).sqrt()
    return scaled * p[f"{at}.weight"] + p[f"{at}.bias"]


def gin_atom(
    p: dict[str, Tensor], at: str, h: Tensor, neighbours: list[list[int]], i: int
) -> Tensor:
    total = (1 + p[f"{at}.epsilon"]) * h[i]
    for j in neighbours[i]:
        total = total + h[j]
    hidden = p[f"{at}.first.weight"] @ total + p[f"{at}.first.bias"]
    hidden = norm(hidden, p, f"{at}.inner_norm").relu()
    hidden = p[f"{at}.second.weight"] @ hidden + p[f"{at}.second.bias"]
    return norm(hidden, p, f"{at}.norm").relu()


def gatv2_atom(
    p: dict[str, Tensor], at: str, h: Tensor, neighbours: list[list[int]], i: int
) -> Tensor:
    around = [*neighbours[i], i]
    left = p[f"{at}.left.weight"] @ h[i] + p[f"{at}.left.bias"]
    heads = []
    for head, a in enumerate(p[f"{at}.attention"]):
        part = slice(head * len(a), (head + 1) * len(a))
        right = [(p[f"{at}.right.weight"] @ h[j])[part] for j in around]
        scores = torch.stack([a @ F.leaky_relu(left[part] + row, 0.2) for row in right])
        weights = scores.softmax(0)
        heads.append(sum(weight * row for weight, row in zip(weights, right, strict=True)))
    return norm((torch.cat(heads) + p[f"{at}.bias"]).relu(), p, f"{at}.norm")


@pytest.mark.parametrize(("layer", "atom"), [("gin", gin_atom), ("gatv2", gatv2_atom)])
def test_a_graph_layer_equals_its_plain_equation(layer: str, atom: Any) -> None:
    torch.manual_seed(0)
    encoder = GraphEncoder(build(GraphConfig, DRUGS[layer], "drug"))
    randomise_norms(encoder)
    for name, parameter in encoder.named_parameters():
        if "epsilon" in name or name.endswith((".bias", ".attention")):
            torch.nn.init.normal_(parameter)
    encoder.eval()
    drugs = sample_pairs().drugs
    batch = graph_batch(drugs, np.arange(9))
    together = encoder(batch)
    p = dict(encoder.named_parameters()) | dict(encoder.named_buffers())
    for drug in range(9):
        atoms = drugs.atoms[slice(*drugs.atom_offsets[drug : drug + 2])]
        neighbours: list[list[int]] = [[] for _ in atoms]
        for first, second in drugs.bonds[slice(*drugs.bond_offsets[drug : drug + 2])]:
            neighbours[first].append(second)
            neighbours[second].append(first)
        h = torch.tensor(atoms, dtype=torch.float32) @ p["embedding.weight"].T
        for number in range(2):
            h = torch.stack(
                [atom(p, f"layers.{number}", h, neighbours, i) for i in range(len(atoms))]
            )
        ours = together[batch.starts[drug] : batch.starts[drug + 1]]
        torch.testing.assert_close(ours, h, rtol=1e-4, atol=1e-5)


def test_a_single_atom_attends_to_itself_alone() -> None:
    torch.manual_seed(0)
    encoder = GraphEncoder(build(GraphConfig, DRUGS["gatv2"], "drug")).eval()
    methane = replace(
        sample_pairs().drugs,
        atoms=np.eye(1, 74, dtype=np.int8),
        atom_offsets=np.array([0, 1]),
        bonds=np.zeros((0, 2), np.int32),
        bond_offsets=np.array([0, 0]),
    )
    assert torch.isfinite(encoder(graph_batch(methane, np.array([0])))).all()


@pytest.mark.parametrize(("drug", "target", "interaction"), COMBINATIONS)
def test_every_combination_keeps_the_promises(
    drug: str, target: str, interaction: str, tmp_path: Path
) -> None:
    pairs, settings = pairs_for(target), config(drug, target, interaction)
    model = DrugBAN(network_of(settings, pairs))
    scores = model.score(pairs)
    assert len(np.unique(scores)) == len(pairs)

    # To the last bit alone, and in another order.
    assert scores.tolist() == [model.score(alone(pairs, row))[0] for row in range(len(pairs))]
    backwards = take(pairs, np.arange(len(pairs))[::-1])
    assert scores[::-1].tolist() == model.score(backwards).tolist()

    # Batches, as training sees them.
    order = np.argsort(pairs.target_index, kind="stable")
    with torch.no_grad():
        logits = model.network(pair_batch(pairs, np.arange(len(pairs)), model.network))
    np.testing.assert_allclose(torch.sigmoid(logits), scores[order], rtol=1e-4, atol=1e-5)

    # Saved and loaded.
    model.save(tmp_path)
    assert DrugBAN.load(settings, tmp_path).score(pairs).tolist() == scores.tolist()


@pytest.mark.parametrize(("drug", "target", "interaction"), COMBINATIONS)
def test_the_matrix_says_what_score_says(drug: str, target: str, interaction: str) -> None:
    pairs = pairs_for(target)
    model = DrugBAN(network_of(config(drug, target, interaction), pairs))
    few = alone(pairs, 0).targets
    matrix = model.matrix(pairs.drugs, few, pairs.scalers, "float32")
    count = len(pairs.drugs)
    every = replace(
        pairs,
        targets=few,
        drug_index=np.arange(count),
        target_index=np.zeros(count, dtype=np.int64),
    )
    np.testing.assert_allclose(matrix[:, 0], model.score(every), rtol=1e-5, atol=1e-6)
    rounded = model.matrix(pairs.drugs, few, pairs.scalers, "bf16")
    np.testing.assert_allclose(rounded, matrix, atol=0.05)


@pytest.mark.parametrize(("drug", "target", "interaction"), EACH_ONCE)
def test_every_parameter_learns(drug: str, target: str, interaction: str) -> None:
    pairs = pairs_for(target)
    network = network_of(config(drug, target, interaction), pairs).train()
    generator = np.random.default_rng(0)
    batch = pair_batch(pairs, np.arange(len(pairs)), network, 50, generator)
    assert batch.labels is not None
    F.binary_cross_entropy_with_logits(network(batch), batch.labels).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


READ = {
    "graph": {"atoms", "atom_offsets", "bonds", "bond_offsets"},
    "fingerprint": {"fingerprints"},
    "sequence_cnn": {"residues", "residue_offsets"},
    "descriptors": {"descriptors"},
    "embedding": {"embeddings", "embedding_offsets"},
}


def without(features: Any, kept: set[str]) -> Any:
    """Features of which only some arrays hold anything; offsets say how many there are."""
    lost = {
        field.name: np.zeros_like(getattr(features, field.name))
        for field in fields(features)
        if field.name not in kept and not field.name.endswith("_offsets")
    }
    return replace(features, **lost)


@pytest.mark.parametrize(("drug", "target", "interaction"), EACH_ONCE)
def test_an_encoder_reads_its_own_features_alone(drug: str, target: str, interaction: str) -> None:
    pairs, settings = pairs_for(target), config(drug, target, interaction)
    model = DrugBAN(network_of(settings, pairs))
    bare = replace(
        pairs,
        drugs=without(pairs.drugs, READ[settings.drug.name]),
        targets=without(pairs.targets, READ[settings.target.name]),
    )
    assert isinstance(bare.drugs, DrugFeatures)
    assert isinstance(bare.targets, TargetFeatures)
    assert model.score(bare).tolist() == model.score(pairs).tolist()
    nothing = replace(bare, drugs=without(bare.drugs, set()))
    assert model.score(nothing).tolist() != model.score(pairs).tolist()


def test_descriptors_far_beyond_train_are_clipped() -> None:
    pairs = pairs_for("descriptors")
    model = DrugBAN(network_of(config("descriptors", "descriptors", "concat"), pairs))
    scale = pairs.scalers.drug_descriptors.scale
    mean = pairs.scalers.drug_descriptors.mean
    far, further = (
        replace(pairs, drugs=replace(pairs.drugs, descriptors=np.tile(mean + n * scale, (100, 1))))
        for n in (11, 1000)
    )
    assert model.score(far).tolist() == model.score(further).tolist()


def test_crops_shorten_embeddings_of_residues_and_leave_vectors_whole() -> None:
    generator = np.random.default_rng(0)
    for target, expected in (("residue embeddings", 50), ("embedding", 1), ("descriptors", 1)):
        pairs = pairs_for(target)
        network = network_of(config("gcn", target, "ban"), pairs)
        batch = pair_batch(pairs, np.arange(len(pairs)), network, 50, generator)
        assert set((batch.targets.ends - batch.targets.starts).tolist()) == {expected}


def test_embeddings_that_are_not_there_are_asked_for() -> None:
    pairs = sample_pairs()
    with pytest.raises(ConfigError, match="no embeddings; choose a language model, such as"):
        Widths.of(config("gcn", "embedding", "ban"), pairs.drugs, pairs.targets)


def test_weights_of_other_widths_are_refused(tmp_path: Path) -> None:
    pairs, settings = pairs_for("embedding"), config("fingerprint", "embedding", "ban")
    DrugBAN(network_of(settings, pairs)).save(tmp_path)
    with pytest.raises(RuntimeError, match="size mismatch"):
        DrugBAN.load(config("fingerprint", "embedding", "concat"), tmp_path)


@pytest.mark.parametrize(
    ("drug", "target", "message"),
    [
        ({"layer": "gatv2", "dim": 10}, {}, "dim 10 is no multiple of the 4 heads"),
        ({"layer": "gcnn"}, {}, "model.drug.layer: must be one of gcn, gin, gatv2, got 'gcnn'"),
        ({"hidden_dim": 3}, {}, "hidden_dim: unknown key"),
        (
            {"name": "fingerprints"},
            {},
            "must be one of graph, fingerprint, descriptors, got 'fingerprints'",
        ),
        ({}, {"filters": [8]}, "1 filters, but 2 kernels"),
    ],
)
def test_bad_parts_are_refused(drug: dict[str, Any], target: dict[str, Any], message: str) -> None:
    plain = config("gcn", "sequence_cnn", "ban").model_dump()
    plain["drug"] |= drug
    plain["target"] |= target
    with pytest.raises(ConfigError, match=message):
        build(ModelConfig, plain, "model")
