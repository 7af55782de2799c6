"""Whether a screen in bf16 finds the same best drugs of each target as one in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stages.dti.config.model import DrugBANConfig
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import DrugFeatures, PairData, TargetFeatures
from stages.dti.features.targets import featurize_targets
from stages.dti.models.drugban.model import DrugBAN
from stages.dti.models.drugban.network import DrugBANNetwork
from stages.dti.prediction.ranking import MARGIN
from tests.benchmarks.inputs import Inputs
from tests.benchmarks.parity import scale_joint_norm
from tests.benchmarks.worker import in_process
from tests.reference.norms import randomise_norms

TOP = 100
"""Drugs of each target that are compared."""


@dataclass(frozen=True)
class Screened:
    """All drugs against all targets, in both precisions.

    Attributes:
        pairs: training pairs, for the scale of the network's joint representation.
    """

    network: DrugBANConfig
    drugs: DrugFeatures
    targets: TargetFeatures
    pairs: PairData
    seed: int


def screen_precision_table(inputs: Inputs) -> dict[str, Any]:
    """Return how much of the top both precisions share at the largest screen; without bf16 none."""
    settings, features = inputs.settings, inputs.data.features
    smiles = inputs.screened_drugs(max(settings.sizes.screen_drugs))
    sequences = inputs.target_sequences(max(settings.sizes.screen_targets))
    drugs, _ = featurize_drugs(smiles, features, with_descriptors=False, processes=None)
    targets, _ = featurize_targets(sequences, features)
    pairs = inputs.pair_data(inputs.some_pairs(settings.reference_pairs))
    work = Screened(inputs.network, drugs, targets, pairs, inputs.reproducibility.seed)
    rows = [in_process(shared_top, work, inputs.reproducibility.threads)] if inputs.bf16 else []
    return {
        "what": (
            f"Of the best {TOP} drugs of each target by Model.matrix in float32, the share that "
            f"is among the best {TOP} in bf16, and among the best {TOP} + {MARGIN}, which "
            "Predictor.rank scores again in float32 before it ranks them; random weights"
        ),
        "rows": rows,
    }


def shared_top(work: Screened) -> dict[str, Any]:
    """Return the shares: mean and least over the targets, and how many sets are equal."""
    torch.manual_seed(work.seed)
    network = DrugBANNetwork(work.network)
    randomise_norms(network)
    scale_joint_norm(network, work.pairs)
    model = DrugBAN(network)
    matrices = (
        model.matrix(work.drugs, work.targets, work.pairs.scalers, precision)
        for precision in ("float32", "bf16")
    )
    wide, narrow = (np.argsort(-scores, axis=0, kind="stable") for scores in matrices)
    same = overlap(wide[:TOP], narrow[:TOP])
    held = overlap(wide[:TOP], narrow[: TOP + MARGIN])
    return {
        "drugs": len(work.drugs),
        "targets": len(work.targets),
        "top": min(TOP, len(work.drugs)),
        "shared_mean": float(same.mean()),
        "shared_least": float(same.min()),
        "targets_with_equal_sets": int((same == 1).sum()),
        "held_by_candidates_mean": float(held.mean()),
        "held_by_candidates_least": float(held.min()),
    }


def overlap(wanted: NDArray[np.int64], found: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return per column the share of ``wanted`` that is in ``found``."""
    return np.array(
        [np.isin(one, other).mean() for one, other in zip(wanted.T, found.T, strict=True)]
    )
