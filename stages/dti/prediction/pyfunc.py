"""How MLflow loads a registered model: through the Predictor, from files, without pickle.

The ``MLmodel`` file of a registered version names this module; MLflow itself is not imported here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from stages.dti.errors import DataError
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair, Prediction


class PredictorModel:
    """What ``mlflow.pyfunc.load_model("models:/drug_target_interaction@production")`` wraps."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row per input row, in order, with the same index.

        Args:
            model_input: column ``smiles``, and ``sequence`` or ``target_id`` or both.
            params: MLflow's own argument; there is nothing to set.

        Returns:
            The fields of ``stages.dti.prediction.Prediction``; a row that cannot be scored has
            ``status`` ``invalid`` and a ``reason``.

        Raises:
            DataError: a column is missing.
        """
        columns = set(model_input.columns)
        if "smiles" not in columns or not columns & {"sequence", "target_id"}:
            raise DataError(
                f"got columns {', '.join(map(str, model_input.columns))}; the model needs smiles, "
                "and sequence or target_id"
            )
        smiles = _texts(model_input, "smiles")
        sequences = _texts(model_input, "sequence")
        target_ids = _texts(model_input, "target_id")
        pairs = [
            Pair(smiles=drug or "", sequence=sequence, target_id=target_id)
            for drug, sequence, target_id in zip(smiles, sequences, target_ids, strict=True)
        ]
        names = list(Prediction.model_fields)
        rows = [prediction.model_dump() for prediction in self._predictor.predict(pairs)]
        return pd.DataFrame(rows, columns=names, index=model_input.index)


def _texts(table: pd.DataFrame, column: str) -> list[str | None]:
    if column not in table:
        return [None] * len(table)
    return [value if isinstance(value, str) else None for value in table[column]]


def _load_pyfunc(path: str) -> PredictorModel:
    """Load the registered folder; MLflow calls it by this name."""
    return PredictorModel(Predictor.load(Path(path)))
