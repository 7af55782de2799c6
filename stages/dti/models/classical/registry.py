"""From a classical model's name to its class, imported when it is asked for."""

from __future__ import annotations

from stages.dti.models.base import ClassicalModel


def classical_class(name: str) -> type[ClassicalModel] | None:
    """Return the class of a classical model, or ``None`` where the name is of none."""
    match name:
        case "base_rate":
            from stages.dti.models.classical.base_rate import BaseRate

            return BaseRate
        case "nearest_neighbour" | "similarity_vote":
            from stages.dti.models.classical.nearest_neighbour import NearestNeighbour

            return NearestNeighbour
        case "logistic_regression":
            from stages.dti.models.classical.logistic_regression import LogisticRegressionModel

            return LogisticRegressionModel
        case "gradient_boosting":
            from stages.dti.models.classical.gradient_boosting import GradientBoosting

            return GradientBoosting
    return None
