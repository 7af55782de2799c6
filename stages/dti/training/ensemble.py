"""Fitting an ensemble: every member by itself, then how they combine, on validation alone.

The members have seen validation too, for early stopping, so weights and ranks fitted on it are a
little too kind to the member that stopped on it longest. With a handful of weights, that hardly
shows; the test part shows what is left.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from stages.dti.config.model import DrugBANConfig, EnsembleConfig, MemberConfig
from stages.dti.config.trainer import TrainerConfig
from stages.dti.features.store import PairData
from stages.dti.models.base import FitContext, Model
from stages.dti.models.ensemble import Combination, Ensemble, log_odds
from stages.dti.training.single import fit_single
from stages.dti.uncertainty.calibration import interpolate

Floats = NDArray[np.float64]

logger = logging.getLogger(__name__)

WEIGHT_STEPS = 10
"""``rank_average`` chooses among weights of 0, 1/10, … 1 that sum to 1."""


_TO_THE_MINIMUM = {"ftol": 0.0, "gtol": 1e-9, "maxiter": 10_000}


def fit_ensemble(
    config: EnsembleConfig,
    trainer: TrainerConfig,
    train: PairData,
    validation: PairData,
    context: FitContext,
) -> Ensemble:
    """Fit every member ``seeds`` times, with seeds ``context.seed``, ``context.seed + 1``, ….

    Each fit's epochs are reported as its own.
    """
    assert validation.labels is not None
    members: dict[str, list[Model]] = {}
    for name, member in sorted(config.members.items()):
        members[name] = []
        for number in range(member.seeds):
            logger.info("fitting member %s, %d of %d", name, number + 1, member.seeds)
            workdir = context.workdir / f"{name}_{number}"
            workdir.mkdir()
            own = replace(
                context,
                seed=context.seed + number,
                workdir=workdir,
                on_epoch=context.on_fit(name, number),
                checkpoint=context.checkpoint and context.checkpoint / f"{name}_{number}",
            )
            members[name] += _fit_member(member, trainer, train, validation, own)
    scores = np.stack(
        [
            np.mean([model.score(validation) for model in members[name]], axis=0)
            for name in sorted(members)
        ]
    )
    combination = combine_on_validation(config, scores, validation.labels > 0.5)
    return Ensemble(config, members, combination)


def combine_on_validation(
    config: EnsembleConfig, scores: Floats, positive: NDArray[np.bool_]
) -> Combination:
    """Return the combination of the members' validation scores, ``(members, pairs)``.

    ``stacked``: weights ``w >= 0`` and intercept ``b`` minimise ``C · Σ log-loss + |w|² / 2``
    (scikit-learn's form of L2 regularisation). ``rank_average``: of the weights on a grid of
    tenths, those with the highest AUROC; of equals, those nearest to equal weights.
    """
    count = len(scores)
    if config.combine == "stacked":
        weights, intercept = _fit_stack(log_odds(scores), positive, config.inverse_regularisation)
        return Combination(weights, intercept)
    if config.combine == "rank_average":
        ranks = tuple(rank_line(row) for row in scores)
        ranked = [interpolate(row, *line) for row, line in zip(scores, ranks, strict=True)]
        return Combination(_best_weights(np.stack(ranked), positive), ranks=ranks)
    return Combination(np.full(count, 1 / count))


def rank_line(scores: Floats) -> Floats:
    """Return increasing scores and the rank of each, ``(2, knots)``, from (0, 0) to (1, 1).

    A score's rank is the share of scores below it and half of those equal to it.
    """
    levels, counts = np.unique(scores, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(scores)
    first = [] if levels[0] == 0 else [0.0]
    last = [] if levels[-1] == 1 else [1.0]
    return np.array([np.concatenate([first, levels, last]), np.concatenate([first, ranks, last])])


def _fit_member(
    member: MemberConfig,
    trainer: TrainerConfig,
    train: PairData,
    validation: PairData,
    context: FitContext,
) -> list[Model]:
    if member.snapshots == 1:
        return [fit_single(member.config, trainer, train, validation, context)]
    from stages.dti.training.drugban import fit_drugban_snapshots

    assert isinstance(member.config, DrugBANConfig)  # MemberConfig sees to it
    return [
        *fit_drugban_snapshots(member.config, trainer, train, validation, context, member.snapshots)
    ]


def _fit_stack(
    log_odds: Floats, positive: NDArray[np.bool_], inverse_regularisation: float
) -> tuple[Floats, float]:
    """Return weights ``(members,)`` and intercept from validation log odds ``(members, pairs)``."""
    sign = np.where(positive, 1.0, -1.0)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights, intercept = parameters[:-1], parameters[-1]
        margin = sign * (weights @ log_odds + intercept)
        pull = -sign * expit(-margin)
        value = inverse_regularisation * np.logaddexp(0, -margin).sum() + weights @ weights / 2
        gradient = inverse_regularisation * np.append(log_odds @ pull, pull.sum())
        gradient[:-1] += weights
        return float(value), gradient

    count = len(log_odds)
    start = np.append(np.full(count, 1 / count), logit(positive.mean()))
    bounds = [(0, None)] * count + [(None, None)]
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=_TO_THE_MINIMUM
    )
    # Beyond these digits the minimum is another on another processor.
    return np.round(found.x[:-1], 6), round(float(found.x[-1]), 6)


def _best_weights(ranked: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Return the weights ``(members,)`` with the highest AUROC of the weighted ranks."""
    return max(
        _weight_grid(len(ranked)),
        key=lambda weights: (
            round(float(roc_auc_score(positive, weights @ ranked)), 9),
            -float(weights @ weights),
        ),
    )


def _weight_grid(members: int) -> Iterator[Floats]:
    """Yield every way to hand out ``WEIGHT_STEPS`` tenths, ``(members,)`` each."""
    places = WEIGHT_STEPS + members - 1
    for bars in combinations(range(places), members - 1):
        edges = np.array([-1, *bars, places])
        yield (np.diff(edges) - 1) / WEIGHT_STEPS
