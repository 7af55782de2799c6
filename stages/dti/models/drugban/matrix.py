"""All drugs against all targets, in whichever form is cheapest for the network at hand."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from stages.dti.features.store import DrugFeatures, Scalers, TargetFeatures
from stages.dti.models.base import Precision
from stages.dti.models.drugban import gram
from stages.dti.models.drugban.attention import BilinearAttention
from stages.dti.models.drugban.network import DrugBANNetwork

FEW_TARGETS = 3
"""Up to as many, one target after the other is quicker: measured with the published sizes."""


def network_scores(
    network: DrugBANNetwork,
    drugs: DrugFeatures,
    targets: TargetFeatures,
    scalers: Scalers,
    precision: Precision,
) -> NDArray[np.float32]:
    """Return the scores of all pairs, float32 ``(drugs, targets)``.

    By the Gram form where every row of a drug attends to every row of a target. Where one of the
    two is a single vector, or no row attends to any, a Gram matrix costs more than the pair, and
    with ``FEW_TARGETS`` one per drug costs more than all its pairs.
    """
    attends = isinstance(network.interaction, BilinearAttention) and len(targets) > FEW_TARGETS
    sizes = (network.drug_encoder.sizes(drugs), network.target_encoder.sizes(targets))
    if attends and all(size.max(initial=0) > 1 for size in sizes):
        return gram.scores_by_gram(network, drugs, targets, scalers, precision)
    return _scores_by_target(network, drugs, targets, scalers, precision)


def _scores_by_target(
    network: DrugBANNetwork,
    drugs: DrugFeatures,
    targets: TargetFeatures,
    scalers: Scalers,
    precision: Precision,
) -> NDArray[np.float32]:
    """Score a group of drugs against one target after the other.

    Memory beside the result: a few times ``gram.ENCODE_ROWS`` × the interaction's width × 4 bytes.
    """
    scores = np.empty((len(drugs), len(targets)), dtype=np.float32)
    with (
        torch.inference_mode(),
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
    ):
        joiner = network.interaction.joiner()
        for group in gram.row_groups(network.drug_encoder.sizes(drugs)):
            batch = network.drug_encoder.collect(drugs, group, scalers)
            encoded = network.encode_drugs(batch, joiner)
            for number in range(len(targets)):
                target = network.encode_target(
                    network.target_encoder.collect(targets, np.array([number]), scalers), joiner
                )
                joint = joiner.meet(encoded, batch.starts, target)
                logits = network.classify(joint.float())
                scores[group, number] = torch.sigmoid(logits.float()).numpy()
    return scores
