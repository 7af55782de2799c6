"""Does the model know when it does not know? How well its warnings tell errors and unseen pairs.

A warning is any number that is given with a prediction and should be larger where less trust is
due. It is judged as a classifier is: by the AUROC at which it tells wrong answers from right ones,
or pairs with something unseen from the others.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.artifacts.evaluation import Applicability, DomainLimits, Questions
from stages.dti.artifacts.measured import Measure
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.evaluation.metrics import Comparison, ModelOutput
from stages.dti.uncertainty.applicability_domain import ApplicabilityDomain
from stages.dti.uncertainty.conformal import share


def applicability_report(
    pairs: pd.DataFrame,
    output: ModelOutput,
    domain: ApplicabilityDomain,
    config: EvaluateConfig,
) -> Applicability:
    """Return how well the warnings of one model work on labelled pairs.

    Args:
        pairs: columns ``label``, ``domain_distance``, and ``drug_seen``, ``target_seen``,
            ``scaffold_seen`` (in train); row i belongs to row i of the output.

    Warnings are ``domain_distance``; ``spread``, of an ensemble; and ``ambiguity``, how near the
    probability lies to the threshold, as the plain one that the others must beat. A question with
    one answer has no value.
    """
    labels = pairs["label"].to_numpy() == 1
    predicted = output.probabilities >= output.threshold
    wrong = predicted != labels
    distance = pairs["domain_distance"].to_numpy()
    warnings = {
        "domain_distance": distance,
        "ambiguity": -np.abs(output.probabilities - output.threshold),
    }
    if output.spread is not None:
        warnings["spread"] = output.spread
    questions = {"wrong": wrong} | {
        f"{what}_unseen": ~pairs[f"{what}_seen"].to_numpy().astype(bool)
        for what in ("drug", "target", "scaffold")
    }
    answers = {name: _aurocs(truth, warnings, config) for name, truth in questions.items()}
    inside = distance <= 1
    return Applicability(
        domain=DomainLimits(drug_limit=domain.drug_limit, target_limit=domain.target_limit),
        inside=share(wrong[inside], config.confidence),
        outside=share(wrong[~inside], config.confidence),
        warnings={
            warning: Questions(**{question: answers[question][warning] for question in questions})
            for warning in warnings
        },
    )


def _aurocs(
    truth: NDArray[np.bool_], warnings: dict[str, NDArray[np.float64]], config: EvaluateConfig
) -> dict[str, Measure]:
    """Return warning → its AUROC at telling the true ones, all on the same resamples."""
    # Ranking alone is measured; a warning is no probability and has no threshold.
    outputs = {
        name: ModelOutput(values, np.zeros(len(values)), threshold=1.0)
        for name, values in warnings.items()
    }
    comparison = Comparison(truth, outputs, config, ("auroc",))
    return {name: comparison.metrics(name)["auroc"] for name in warnings}
