"""The golden predictions: what the model must still say before it is served.

Promotion writes them (``stages/dti/lifecycle/golden.py``). A model that loads but answers
otherwise, on another machine or with other library versions, is found out here and not by its
users.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.dti.artifacts.export import GOLDEN
from stages.dti.errors import ModelError
from stages.dti.files import read_json
from stages.dti.lifecycle.golden import TOLERANCE
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair


@dataclass(frozen=True)
class Verdict:
    """Whether the predictions came out as they should, in words for the log and for /health."""

    passed: bool
    detail: str


def check_golden(predictor: Predictor, folder: Path) -> Verdict:
    """Predict the golden pairs of a model folder anew and compare.

    On the machine that exported the model they come out bit for bit. A difference of up to
    ``TOLERANCE`` passes too, but is stated.

    Raises:
        DtiError: the folder has no golden predictions, or none that can be read.
    """
    pairs, expected = _read(folder)
    predictions = predictor.predict(pairs)
    worst = 0.0
    for number, (prediction, numbers) in enumerate(zip(predictions, expected, strict=True), 1):
        if prediction.score is None or prediction.probability is None:
            return Verdict(False, f"golden pair {number} was refused: {prediction.reason}")
        differences = (
            abs(prediction.score - numbers[0]),
            abs(prediction.probability - numbers[1]),
        )
        if not all(difference <= TOLERANCE for difference in differences):  # nor is NaN a match
            return Verdict(
                False,
                f"golden pair {number} scored {prediction.score} (probability "
                f"{prediction.probability}), but {numbers[0]} ({numbers[1]}) when the model was "
                "exported; install requirements.lock, or promote a model on this machine",
            )
        worst = max(worst, *differences)
    how = "bit for bit" if worst == 0 else f"within {worst:.1e}, as on another kind of processor"
    return Verdict(True, f"{len(pairs)} golden predictions came out {how}")


def _read(folder: Path) -> tuple[list[Pair], list[tuple[float, float]]]:
    """Return the golden pairs, and the score and probability expected of each."""
    try:
        rows = read_json(folder / GOLDEN)["pairs"]
        pairs = [Pair(smiles=row["smiles"], sequence=row["sequence"]) for row in rows]
        expected = [(float(row["score"]), float(row["probability"])) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / GOLDEN} cannot be read ({type(error).__name__}: {error}); serve a folder "
            "that `dvc repro promote` exported"
        ) from error
    if not pairs:
        raise ModelError(f"{folder / GOLDEN} holds no pair; run `dvc repro promote` anew")
    return pairs, expected
