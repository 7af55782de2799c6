"""Several models that answer as one.

A member is a model fitted one or several times, with other seeds or as snapshots of one training
run; its score is the mean of theirs: a deep ensemble (Lakshminarayanan, Pritzel and Blundell 2017;
snapshots: Huang et al. 2017). The members' scores are combined in one of three ways:

``mean``
    Their mean.
``rank_average``
    A weighted mean of ranks, for members whose scores are spread differently. A score's rank is
    its mid-rank among that member's scores for the validation pairs, divided by their number, on a
    straight line between neighbouring scores and through (0, 0) and (1, 1). It is looked up in a
    stored table, so a pair's rank never depends on the pairs beside it.
``stacked``
    ``expit(intercept + Σ weight · logit(score))`` with weights that are not negative: stacked
    generalisation (Wolpert 1992), where Breiman (1996) found non-negative weights to matter.

Tables, weights and intercept are fitted on validation (``training/ensemble.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.special import expit, logit

from stages.dti.config.model import AnyModel, EnsembleConfig
from stages.dti.features.store import DrugFeatures, PairData, Scalers, TargetFeatures
from stages.dti.models.base import Encoding, Encodings, Model, Precision
from stages.dti.uncertainty.calibration import SCORE_CLIP, interpolate

Floats = NDArray[np.float64]

COMBINATION = "combination.safetensors"
MEMBERS = "members"


@dataclass(frozen=True)
class Combination:
    """How the members' scores become one.

    Attributes:
        weights: ``(members,)``, not negative, members by name.
        intercept: of ``stacked``; otherwise 0.
        ranks: of ``rank_average``, per member: increasing scores and the rank of each,
            ``(2, scores)``.
    """

    weights: Floats
    intercept: float = 0.0
    ranks: tuple[Floats, ...] = ()


class Ensemble(Model):
    """Fitted members and their combination.

    Attributes:
        members: name → its fitted models, by name.
    """

    def __init__(
        self, config: EnsembleConfig, members: dict[str, list[Model]], combination: Combination
    ) -> None:
        self.config = config
        self.members = {name: members[name] for name in sorted(members)}
        self.combination = combination

    def score(self, pairs: PairData) -> Floats:
        """Return the combined score, float64 ``(pairs,)``."""
        return self.combine(self.member_scores(pairs))

    def member_scores(self, pairs: PairData) -> Floats:
        """Return every fitted model's score, float64 ``(models, pairs)``, by member and fit."""
        return np.stack([model.score(pairs) for model in self._models()])

    def encode_drugs(self, drugs: DrugFeatures, scalers: Scalers) -> list[tuple[Encoding, ...]]:
        """Return each drug's encodings, one by each fitted model."""
        return list(
            zip(*(model.encode_drugs(drugs, scalers) for model in self._models()), strict=True)
        )

    def encode_targets(
        self, targets: TargetFeatures, scalers: Scalers
    ) -> list[tuple[Encoding, ...]]:
        """Return each target's encodings, likewise."""
        return list(
            zip(*(model.encode_targets(targets, scalers) for model in self._models()), strict=True)
        )

    def encoded_member_scores(self, pairs: PairData, encodings: Encodings) -> Floats:
        """Return every fitted model's score, each from its own encodings."""
        drugs = zip(*encodings.drugs, strict=True)
        targets = zip(*encodings.targets, strict=True)
        return np.concatenate(
            [
                model.encoded_member_scores(pairs, Encodings(*own))
                for model, *own in zip(self._models(), drugs, targets, strict=True)
            ]
        )

    def combine(self, member_scores: Iterable[Floats]) -> Floats:
        """Return the combined score; the arrays of ``member_scores`` may have any one shape.

        Sums go from member to member: a vectorised sum may add in another order when there are
        more pairs.
        """
        how = self.config.combine
        total: Floats | None = None
        for position, scores in enumerate(self._means(iter(member_scores))):
            if how == "rank_average":
                scores = interpolate(scores, *self.combination.ranks[position])
            elif how == "stacked":
                scores = log_odds(scores)
            part = self.combination.weights[position] * scores
            total = part if total is None else total + part
        assert total is not None  # the configuration has at least one member
        if how == "stacked":
            return np.asarray(expit(total + self.combination.intercept))
        return np.clip(total, 0.0, 1.0)  # weights of 0.1, 0.2 and 0.7 sum to a little over 1

    def matrix(
        self,
        drugs: DrugFeatures,
        targets: TargetFeatures,
        scalers: Scalers,
        precision: Precision,
    ) -> NDArray[np.float32]:
        """Return the combined scores of all drugs against all targets, from the members' own.

        One member's matrix at a time stands beside the sum.
        """
        scores = (
            model.matrix(drugs, targets, scalers, precision).astype(np.float64)
            for model in self._models()
        )
        return self.combine(scores).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Write each model below ``members/<name>/<fit>/``, and the combination."""
        for name, models in self.members.items():
            for number, model in enumerate(models):
                below = folder / MEMBERS / name / str(number)
                below.mkdir(parents=True)
                model.save(below)
        combination = self.combination
        arrays = {
            "weights": combination.weights,
            "intercept": np.array([combination.intercept]),
            "fits": np.array([len(models) for models in self.members.values()]),
        }
        for name, line in zip(self.members, combination.ranks, strict=False):  # or none at all
            arrays[f"ranks.{name}"] = np.ascontiguousarray(line)
        save_file(arrays, folder / COMBINATION)

    def _models(self) -> Iterator[Model]:
        for models in self.members.values():
            yield from models

    def _means(self, member_scores: Iterator[Floats]) -> Iterator[Floats]:
        """Yield the mean score of each member's fits, one after the other."""
        for models in self.members.values():
            total = next(member_scores)
            for _ in models[1:]:
                total = total + next(member_scores)
            yield total / len(models)


def load_ensemble(
    config: EnsembleConfig, folder: Path, load_member: Callable[[AnyModel, Path], Model]
) -> Ensemble:
    """Read what ``Ensemble.save`` wrote.

    Args:
        load_member: loads a member from its configuration and its folder.
    """
    arrays = load_file(folder / COMBINATION)
    names = sorted(config.members)
    members = {
        name: [
            load_member(config.members[name].config, folder / MEMBERS / name / str(number))
            for number in range(fits)
        ]
        for name, fits in zip(names, arrays["fits"], strict=True)
    }
    ranks = tuple(arrays[f"ranks.{name}"] for name in names if f"ranks.{name}" in arrays)
    combination = Combination(arrays["weights"], float(arrays["intercept"][0]), ranks)
    return Ensemble(config, members, combination)


def log_odds(scores: Floats) -> Floats:
    """Return the logit of scores in [0, 1], kept finite as calibration keeps it."""
    return np.asarray(logit(np.clip(scores, SCORE_CLIP, 1 - SCORE_CLIP)))
