"""DrugBAN behind the one model interface."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from stages.dti.config.model import DrugBANConfig
from stages.dti.features.store import DrugFeatures, PairData, Scalers, TargetFeatures
from stages.dti.models.base import Encodings, Precision, SingleModel
from stages.dti.models.drugban.encoders import Widths
from stages.dti.models.drugban.interaction import Joiner
from stages.dti.models.drugban.matrix import network_scores
from stages.dti.models.drugban.network import DrugBANNetwork

WEIGHTS = "weights.safetensors"

_WIDTHS = "widths"
"""Where the weights' header holds them."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, since the order of a sum depends on how many share it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class DrugBAN(SingleModel):
    """A trained DrugBAN; always scores in float32 and in eval mode."""

    def __init__(self, network: DrugBANNetwork) -> None:
        self.network = network.float().eval()

    def score(self, pairs: PairData) -> NDArray[np.float64]:
        """Return the sigmoid of each pair's logit.

        Every drug, every target and every pair goes through the network by itself, on one
        thread: a matrix product's rounding depends on its shape, so this is what makes a pair's
        score the same to the last bit in a batch of one and in a batch of thousands.
        """
        with torch.inference_mode(), one_thread():
            joiner = self.network.interaction.joiner()
            drugs = {
                row: self._drug(pairs.drugs, row, pairs.scalers, joiner)
                for row in np.unique(pairs.drug_index).tolist()
            }
            return self._meet(
                pairs,
                drugs.__getitem__,
                lambda row: self._target(pairs.targets, row, pairs.scalers, joiner),
                joiner,
            )

    def encode_drugs(self, drugs: DrugFeatures, scalers: Scalers) -> list[Tensor]:
        """Return each drug's rows, ready to meet a target, ``(rows, width)``."""
        with torch.inference_mode(), one_thread():
            joiner = self.network.interaction.joiner()
            return [self._drug(drugs, row, scalers, joiner) for row in range(len(drugs))]

    def encode_targets(self, targets: TargetFeatures, scalers: Scalers) -> list[Tensor]:
        """Return each target's rows, likewise."""
        with torch.inference_mode(), one_thread():
            joiner = self.network.interaction.joiner()
            return [self._target(targets, row, scalers, joiner) for row in range(len(targets))]

    def encoded_member_scores(self, pairs: PairData, encodings: Encodings) -> NDArray[np.float64]:
        """Return ``score`` of each pair, ``(1, pairs)``, from what was encoded."""
        with torch.inference_mode(), one_thread():
            return self._meet(
                pairs,
                encodings.drugs.__getitem__,
                encodings.targets.__getitem__,
                self.network.interaction.joiner(),
            )[None]

    def _drug(self, drugs: DrugFeatures, row: int, scalers: Scalers, joiner: Joiner) -> Tensor:
        batch = self.network.drug_encoder.collect(drugs, np.array([row]), scalers)
        return self.network.encode_drugs(batch, joiner)

    def _target(
        self, targets: TargetFeatures, row: int, scalers: Scalers, joiner: Joiner
    ) -> Tensor:
        batch = self.network.target_encoder.collect(targets, np.array([row]), scalers)
        return self.network.encode_target(batch, joiner)

    def _meet(
        self,
        pairs: PairData,
        drug: Callable[[int], Tensor],
        target: Callable[[int], Tensor],
        joiner: Joiner,
    ) -> NDArray[np.float64]:
        """Return each pair's score; ``target`` is asked for one row after the other, once each."""
        scores = np.empty(len(pairs), dtype=np.float64)
        last, q = -1, torch.empty(0)
        for pair in np.argsort(pairs.target_index, kind="stable"):
            row = int(pairs.target_index[pair])
            if row != last:
                last, q = row, target(row)
            v = drug(int(pairs.drug_index[pair]))
            joint = joiner.meet(v, np.array([0, len(v)]), q)
            scores[pair] = torch.sigmoid(self.network.classify(joint).double()).item()
        return scores

    def matrix(
        self,
        drugs: DrugFeatures,
        targets: TargetFeatures,
        scalers: Scalers,
        precision: Precision,
    ) -> NDArray[np.float32]:
        """Return the scores of all pairs, float32 ``(drugs, targets)``; see ``matrix.py``."""
        return network_scores(self.network, drugs, targets, scalers, precision)

    def save(self, folder: Path) -> None:
        """Write the weights as safetensors, and in their header what the encoders read."""
        state = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        widths = Widths(self.network.drug_encoder.width, self.network.target_encoder.width)
        # One entry: safetensors writes several in an order that changes from call to call.
        save_file(state, folder / WEIGHTS, metadata={_WIDTHS: json.dumps(asdict(widths))})

    @classmethod
    def load(cls, config: DrugBANConfig, folder: Path) -> DrugBAN:
        """Read what ``save`` wrote."""
        with safe_open(folder / WEIGHTS, framework="pt") as stored:
            widths = Widths(**json.loads(stored.metadata()[_WIDTHS]))
        network = DrugBANNetwork(config, widths)
        network.load_state_dict(load_file(folder / WEIGHTS))
        return cls(network)
