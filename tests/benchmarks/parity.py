"""Parity: the engine's numbers beside those of the padded per-pair form, with the same weights.

Real drugs and targets of the training data, and corner cases. Batch-norm statistics are random, so
that no shift or scale cancels, and both forms are in eval mode: in training mode the padded form
normalises over its padding too, and counts a target once for each of its pairs. Where there is no
padding and nothing is shared, both are the same function in training mode as well; the set
``training_mode`` is made so, and compared with the weights that training begins with. The set
``published_network`` compares with the network as its authors publish it, corrected, as far as that
is the same function.

A relative difference is the largest difference over the largest value of the reference: that of
each number by itself would be infinite wherever a ReLU leaves 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.dti.config.model import DrugBANConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import PairData
from stages.dti.models.base import Precision
from stages.dti.models.drugban.matrix import FEW_TARGETS
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork, pair_batch
from tests.benchmarks.inputs import Inputs, autocast
from tests.benchmarks.worker import in_process
from tests.reference.norms import randomise_norms
from tests.reference.padded import (
    PaddedDrugBAN,
    PaddedDrugs,
    PaddedTargets,
    padded_batch,
    padded_drugs,
    padded_targets,
)
from tests.reference.published import corrected_with_weights_of
from tests.reference.sizes import NetworkSizes, Padding

ONE_ATOM, ONE_RESIDUE = "C", "M"

SEARCHED_DRUGS = 500
"""Training drugs among which some of one size are looked for."""


@dataclass(frozen=True)
class PairSet:
    """Pairs on which both forms are compared; labels alternate.

    Attributes:
        padding: of the reference.
        training: compare in training mode.
    """

    name: str
    data: PairData
    padding: Padding
    training: bool = False


@dataclass(frozen=True)
class Parity:
    """Both forms of one network, on sets of pairs.

    Attributes:
        training: compared first, with the weights that training begins with.
    """

    network: DrugBANConfig
    training: PairSet
    sets: Sequence[PairSet]
    precisions: Sequence[Precision]
    seed: int


@dataclass(frozen=True)
class Numbers:
    """What one form computes of a set of pairs.

    Attributes:
        values: by name; the order within is the same in both forms.
        gradients: of the mean loss, by parameter.
    """

    values: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]


def parity_table(inputs: Inputs) -> dict[str, Any]:
    """Return the differences of both forms, computed in a process of its own."""
    work = Parity(
        without_dropout(inputs.network),
        training_mode(inputs),
        pair_sets(inputs),
        inputs.precisions,
        inputs.reproducibility.seed,
    )
    return {
        "what": (
            "Largest differences from the padded per-pair form in float32, the same weights, "
            "random batch-norm statistics: of values over the largest value, of gradients over "
            "the largest gradient of the same parameter"
        ),
        "rows": in_process(parity_rows, work, inputs.reproducibility.threads),
    }


def pair_sets(inputs: Inputs) -> list[PairSet]:
    """Return training pairs and corner cases, ``benchmark.reference_pairs`` of each at the most."""
    settings = inputs.settings
    count = settings.reference_pairs
    smiles, sequences = inputs.data.reference.smiles[:count], inputs.target_sequences(count)
    pairs = {
        "training_pairs": inputs.some_pairs(count),
        "one_atom_drug": [(ONE_ATOM, sequence) for sequence in sequences],
        "one_residue_target": [(text, ONE_RESIDUE) for text in smiles],
        "one_atom_and_residue": [(ONE_ATOM, ONE_RESIDUE)],
        "batch_of_one": [(smiles[0], sequences[0])],
        "one_target": [(text, sequences[0]) for text in smiles],
        "nothing_shared": list(zip(smiles, sequences, strict=False)),
    }
    return [PairSet(name, inputs.pair_data(some), settings.padding) for name, some in pairs.items()]


def training_mode(inputs: Inputs) -> PairSet:
    """Return drugs of one size, each with a target of its own, all cut to the shortest's length."""
    searched = inputs.data.reference.smiles[:SEARCHED_DRUGS]
    features, _ = featurize_drugs(searched, inputs.data.features, with_descriptors=False)
    atoms = np.diff(features.atom_offsets)
    most_frequent = int(np.bincount(atoms).argmax())
    sequences = inputs.target_sequences(inputs.settings.reference_pairs)
    length = min(inputs.data.features.max_residues, *map(len, sequences))
    chosen = [searched[row] for row in np.flatnonzero(atoms == most_frequent)]
    pairs = [(text, own[:length]) for text, own in zip(chosen, sequences, strict=False)]
    return PairSet(
        "training_mode", inputs.pair_data(pairs), Padding(most_frequent, length), training=True
    )


def without_dropout(config: DrugBANConfig) -> DrugBANConfig:
    """Return the configuration with nothing left to chance."""
    return config.model_copy(update={"dropout": 0.0, "mlp_dropout": 0.0})


def parity_rows(work: Parity) -> list[dict[str, Any]]:
    """Return one row per set, precision and part."""
    torch.manual_seed(work.seed)
    sizes = NetworkSizes.of(work.network)
    network, reference = DrugBANNetwork(work.network), PaddedDrugBAN(sizes)
    reference.load_state_dict(network.state_dict())
    rows = compare(work.training, network, reference, work.precisions)
    randomise_norms(network)
    scale_joint_norm(network, work.sets[0].data)
    reference.load_state_dict(network.state_dict())
    for pairs in work.sets:
        rows += compare(pairs, network, reference, work.precisions)
    return rows + compare_with_published(work.sets[0], network, sizes, work.precisions)


def compare_with_published(
    pairs: PairSet,
    network: DrugBANNetwork,
    sizes: NetworkSizes,
    precisions: Sequence[Precision],
) -> list[dict[str, Any]]:
    """Return the differences of the engine's rows from those of the corrected published network.

    All rows of drugs; of targets those whose windows lie within the sequence. What comes after is
    not the same function, see ``tests.reference.published``.
    """
    published = corrected_with_weights_of(network, sizes, pairs.padding)
    drugs, targets = padded_units(pairs)
    before, after = published.shift
    lengths = targets.mask.sum((1, 2)).int().tolist()
    with torch.no_grad():
        wanted = {
            "drug_rows": published.encode_drugs(drugs)[drugs.mask.squeeze(2).bool()],
            "target_rows": torch.cat(
                [
                    rows[: max(0, length - before - after)]
                    for rows, length in zip(published.encode_targets(targets), lengths, strict=True)
                ]
            ),
        }
    inside = torch.cat(
        [
            (torch.arange(length) >= before) & (torch.arange(length) < length - after)
            for length in lengths
        ]
    )
    rows = []
    for precision in precisions:
        found = engine_numbers(pairs.data, network, precision).values
        ours = {"drug_rows": found["drug_rows"], "target_rows": found["target_rows"][inside]}
        head = {"pairs": "published_network", "pair_count": len(pairs.data)}
        head |= {"precision": precision}
        rows += [head | {"part": part} | _difference(ours[part], wanted[part]) for part in wanted]
    return rows


@torch.no_grad()
def scale_joint_norm(network: DrugBANNetwork, data: PairData) -> None:
    """Bring the drawn statistics of the joint representation to its own scale on ``data``.

    That is far from 1: else what the encoders say would hardly show in the logits. Leaves the
    network in eval mode.
    """
    network.eval()
    joint = network.interaction.pool(network.joint(pair_batch(data, np.arange(len(data)), network)))
    norm, scale = network.joint_norm, joint.std()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.mul_(scale).add_(joint.mean(0))
    norm.running_var.mul_(scale**2)


def compare(
    pairs: PairSet,
    network: DrugBANNetwork,
    reference: PaddedDrugBAN,
    precisions: Sequence[Precision],
) -> list[dict[str, Any]]:
    """Return the differences of the engine's ``network`` from ``reference`` on one set.

    Returns:
        ``pairs`` and how many ``pair_count``, ``precision``, ``part``, ``largest_difference``,
        ``relative_difference``; of gradients also ``parameter``, the one that differs most,
        ``relative_to_largest_gradient`` of all parameters, and ``cosine`` of all as one vector.
    """
    network.train(pairs.training)
    reference.train(pairs.training)
    wanted = reference_numbers(pairs, reference)
    rows = []
    for precision in precisions:
        found = engine_numbers(pairs.data, network, precision)
        if not pairs.training:
            found = Numbers(
                {**found.values, **screened(pairs.data, network, precision)}, found.gradients
            )
        head = {"pairs": pairs.name, "pair_count": len(pairs.data), "precision": precision}
        for part, values in found.values.items():
            rows.append(head | {"part": part} | _difference(values, wanted.values[part]))
        rows.append(head | {"part": "gradients"} | _gradients(found.gradients, wanted.gradients))
    return rows


def engine_numbers(data: PairData, network: DrugBANNetwork, precision: Precision) -> Numbers:
    """Return what the engine computes in a batch."""
    batch = pair_batch(data, np.arange(len(data)), network)
    with autocast(precision):
        logits = network(batch)
    values = {"logits": logits.detach()}
    gradients = _loss_gradients(network, logits, batch.labels)
    if not network.training:
        with torch.no_grad(), autocast(precision):
            joiner = network.interaction.joiner()
            values["drug_rows"] = network.encode_drugs(batch.drugs, joiner)
            rows = joiner.target(network.target_encoder(batch.targets))
            spans = zip(batch.targets.starts, batch.targets.ends, strict=True)
            values["target_rows"] = torch.cat([rows[start:end] for start, end in spans])
    return Numbers(values, gradients)


def screened(data: PairData, network: DrugBANNetwork, precision: Precision) -> dict[str, Tensor]:
    """Return the pairs' scores by the forms that serve and screen, in the order of a batch."""
    model, order = DrugBAN(network), _batch_order(data)
    drugs, targets = data.drug_index[order], data.target_index[order]
    matrix = model.matrix(data.drugs, data.targets, data.scalers, precision)
    form = "gram_form" if len(data.targets) > FEW_TARGETS else "target_by_target"
    scores = {form: torch.from_numpy(matrix[drugs, targets])}
    if precision == "float32":  # the only one that it knows
        scores["pair_by_pair"] = torch.from_numpy(model.score(data)[order])
    return scores


def reference_numbers(pairs: PairSet, reference: PaddedDrugBAN) -> Numbers:
    """Return what the padded form computes, rows and pairs in the engine's order."""
    data, padding = pairs.data, pairs.padding
    batch = padded_batch(data, _batch_order(data), padding)
    logits = reference(batch)
    gradients = _loss_gradients(reference, logits, batch.labels)
    scores = torch.sigmoid(logits.detach().double())
    values = {
        "logits": logits.detach(),
        "pair_by_pair": scores,
        "gram_form": scores,
        "target_by_target": scores,
    }
    if not pairs.training:
        drugs, targets = padded_units(pairs)
        with torch.no_grad():
            rows = reference.encode_drugs(drugs)
            values["drug_rows"] = rows[drugs.mask.squeeze(2).bool()]
            rows = reference.encode_targets(targets)
            values["target_rows"] = rows[targets.mask.squeeze(1).bool()]
    return Numbers(values, gradients)


def padded_units(pairs: PairSet) -> tuple[PaddedDrugs, PaddedTargets]:
    """Return each drug and each target of the pairs once, in the engine's order."""
    data = pairs.data
    return (
        padded_drugs(data.drugs, np.unique(data.drug_index), pairs.padding),
        padded_targets(data.targets, np.unique(data.target_index), pairs.padding),
    )


def _batch_order(data: PairData) -> NDArray[np.int64]:
    """The order of the pairs in a batch of the engine."""
    return np.argsort(data.target_index, kind="stable")


def _loss_gradients(module: nn.Module, logits: Tensor, labels: Tensor | None) -> dict[str, Tensor]:
    assert labels is not None
    module.zero_grad()
    F.binary_cross_entropy_with_logits(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
    return {
        name: parameter.grad.clone()
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


def _difference(found: Tensor, wanted: Tensor) -> dict[str, Any]:
    difference = (found.double() - wanted.double()).abs().max().item()
    return {
        "largest_difference": difference,
        "relative_difference": _over(difference, wanted.abs().max().item()),
    }


def _gradients(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Any]:
    each = {name: _difference(found[name], wanted[name]) for name in wanted}
    worst = max(each, key=lambda name: each[name]["relative_difference"])
    largest = max(numbers["largest_difference"] for numbers in each.values())
    ours, theirs = (
        torch.cat([gradients[name].double().flatten() for name in wanted])
        for gradients in (found, wanted)
    )
    return {
        "parameter": worst,
        "largest_difference": largest,
        "relative_difference": each[worst]["relative_difference"],
        "relative_to_largest_gradient": _over(largest, theirs.abs().max().item()),
        "cosine": F.cosine_similarity(ours, theirs, dim=0).item(),
    }


def _over(difference: float, largest: float) -> float:
    """A difference from nothing but zeros is told as if the largest value were the smallest one."""
    return difference / max(largest, float(np.finfo(np.float32).tiny))
