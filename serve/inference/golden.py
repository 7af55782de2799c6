"""The golden predictions: what the model must still say before it is served.

Promotion writes them (``stages/dti/lifecycle/golden.py``). A model that loads but answers
otherwise, on another machine or with other library versions, is found out here and not by its
users.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.dti.artifacts.export import GOLDEN
from stages.dti.artifacts.model import Golden
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
    golden = Golden.read(folder / GOLDEN).pairs
    predictions = predictor.predict([Pair(pair.smiles, pair.sequence) for pair in golden])
    worst = 0.0
    for number, (prediction, expected) in enumerate(zip(predictions, golden, strict=True), 1):
        if prediction.score is None or prediction.probability is None:
            return Verdict(False, f"golden pair {number} was refused: {prediction.reason}")
        differences = (
            abs(prediction.score - expected.score),
            abs(prediction.probability - expected.probability),
        )
        if not all(difference <= TOLERANCE for difference in differences):  # nor is NaN a match
            return Verdict(
                False,
                f"golden pair {number} scored {prediction.score} (probability "
                f"{prediction.probability}), but {expected.score} ({expected.probability}) when "
                "the model was exported; install requirements.lock, or promote a model on this "
                "machine",
            )
        worst = max(worst, *differences)
    how = "bit for bit" if worst == 0 else f"within {worst:.1e}, as on another kind of processor"
    return Verdict(True, f"{len(golden)} golden predictions came out {how}")
