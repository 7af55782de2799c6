"""What the report is made from, read from the artefacts of the stages before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stages.dti.artifacts.decision import Decision
from stages.dti.artifacts.evaluation import Applicability, Robustness, Strata
from stages.dti.artifacts.featurize import FeaturizeMetrics
from stages.dti.artifacts.leakage import Leakage
from stages.dti.artifacts.metrics import Metrics
from stages.dti.artifacts.prepare import PrepareMetrics
from stages.dti.artifacts.training import Training
from stages.dti.artifacts.validation import Validation
from stages.dti.errors import DataError
from stages.dti.paths import (
    DECISION,
    EVALUATION,
    FEATURIZE_METRICS,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PROMOTED,
    TRAINING_CURVES,
    TRAINING_METRICS,
    VALIDATION,
    Paths,
)

CARD = "MODEL_CARD.md"
NO_MODEL = "NO_MODEL.md"

_CURVE_COLUMNS = ["member", "fit", "epoch", "metric", "value"]


@dataclass(frozen=True)
class Results:
    """Everything that is shown.

    Attributes:
        curves: file name without suffix → columns member, fit, epoch, metric, value; no rows
            where the model is not fitted step by step.
        card: Markdown: the model card of the promoted model, or why there is none.
        has_model: whether a model is promoted.
    """

    validation: Validation
    prepare: PrepareMetrics
    leakage: Leakage
    featurize: FeaturizeMetrics
    training: Training
    curves: dict[str, pd.DataFrame]
    metrics: Metrics
    strata: Strata
    applicability: Applicability
    robustness: Robustness
    decision: Decision
    card: str
    has_model: bool


def read_results(paths: Paths) -> Results:
    """Read every artefact that the report shows.

    Raises:
        DataError: one is missing, or is not what its stage writes.
    """
    promoted = paths.read(PROMOTED)
    has_model = (promoted / CARD).is_file()
    card = promoted / (CARD if has_model else NO_MODEL)
    if not card.is_file():
        raise DataError(
            f"{PROMOTED} holds neither {CARD} nor {NO_MODEL}; run `dvc repro -f promote`"
        )
    return Results(
        validation=Validation.read(paths.read(VALIDATION) / "validation.json"),
        prepare=PrepareMetrics.read(paths.read(PREPARE_METRICS)),
        leakage=Leakage.read(paths.read(LEAKAGE)),
        featurize=FeaturizeMetrics.read(paths.read(FEATURIZE_METRICS)),
        training=Training.read(paths.read(TRAINING_METRICS)),
        curves=_read_curves(paths.read(TRAINING_CURVES)),
        metrics=Metrics.read(paths.read(METRICS)),
        strata=Strata.read(paths.read(EVALUATION) / "strata.json"),
        applicability=Applicability.read(paths.read(EVALUATION) / "applicability.json"),
        robustness=Robustness.read(paths.read(EVALUATION) / "robustness.json"),
        decision=Decision.read(paths.read(DECISION)),
        card=card.read_text(encoding="utf-8"),
        has_model=has_model,
    )


def _read_curves(folder: Path) -> dict[str, pd.DataFrame]:
    curves = {}
    for path in sorted(folder.glob("*.csv")):
        # A member may be named 1 or null.
        table = pd.read_csv(path, converters={"member": str})
        if list(table.columns) != _CURVE_COLUMNS:
            raise DataError(
                f"{TRAINING_CURVES / path.name} has the columns {', '.join(table.columns)}; "
                f"expected {', '.join(_CURVE_COLUMNS)}; run `dvc repro -f train`"
            )
        curves[path.stem] = table
    return curves
