"""What promotion does with files: the model promoted before, the comparison, the export.

The exported folder holds the candidate's files as they are, and beside them:

===============  ================================================================================
golden.json      test pairs with the predictions that the model must reproduce (``golden.py``)
metrics.json     ``reports/metrics.json`` as it was when the model was promoted
MODEL_CARD.md    what was measured, in words and tables (``card.py``)
version.json     registered model, version, hash of the model, and the comparison with the model
                 promoted before
files.json       as the candidate has it, and the hashes of the four files above
===============  ================================================================================

Where nothing was ever promoted, the folder holds ``NO_MODEL.md`` alone, which says why.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from stages.dti.atomic import write_folder, write_json, write_text
from stages.dti.errors import ConfigError
from stages.dti.features.store import FEATURE_VERSION
from stages.dti.lifecycle.gates import Decision, PreviousComparison
from stages.dti.lifecycle.golden import GOLDEN, golden_predictions
from stages.dti.lifecycle.provenance import folder_sha256
from stages.dti.model_files import FILES, verify_folder
from stages.dti.model_folder import FORMAT_VERSION
from stages.dti.paths import INTERACTIONS, SPLITS
from stages.dti.prediction import Pair
from stages.dti.predictor import Predictor

MODEL = "model.json"
METRICS_FILE = "metrics.json"
CARD = "MODEL_CARD.md"
VERSION = "version.json"
NO_MODEL = "NO_MODEL.md"
MLFLOW_FILE = "MLmodel"

EXPORTED = (GOLDEN, METRICS_FILE, CARD, VERSION)
WRITTEN_HERE = (*EXPORTED, FILES)
BESIDE_THE_MODEL = (*WRITTEN_HERE, MLFLOW_FILE)
"""Files of an export that are not the model's own; its hash leaves them out."""

MEASURED_ON = (INTERACTIONS.as_posix(), SPLITS.as_posix())
"""Data that decide which pairs are tested, and with which label."""

DECIMALS = 6


@dataclass(frozen=True)
class Promoted:
    """The model that was promoted before.

    Attributes:
        folder: its export.
        model_sha256: hash of the model's own files, equal to that of the candidate it was.
    """

    folder: Path
    model_sha256: str

    @classmethod
    def find(cls, folder: Path) -> Promoted | None:
        """Return the model in ``folder``, or ``None`` if there is none.

        Raises:
            DamagedModelError: its files are not what was exported.
        """
        if not (folder / MODEL).is_file():
            return None
        if not (folder / FILES).is_file():  # of an earlier format
            return cls(folder, folder_sha256(folder, exclude=BESIDE_THE_MODEL))
        return cls(folder, verify_folder(folder))

    @property
    def facts(self) -> dict[str, Any]:
        """What ``model.json`` says."""
        return read_json(self.folder / MODEL)

    @property
    def metrics(self) -> dict[str, Any] | None:
        """The metrics that it was promoted with."""
        path = self.folder / METRICS_FILE
        return read_json(path) if path.is_file() else None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def recorded_comparison(promoted: Promoted) -> PreviousComparison | None:
    """Return the comparison with which ``promoted`` itself was promoted, from ``version.json``.

    A candidate that is promoted already is judged by it once more, and so comes to the same
    decision.
    """
    path = promoted.folder / VERSION
    previous = read_json(path)["previous"] if path.is_file() else None
    return PreviousComparison(**previous["comparison"]) if previous else None


def compare(
    previous: Promoted,
    candidate_facts: dict[str, Any],
    metrics: dict[str, Any],
    test: pd.DataFrame,
) -> PreviousComparison:
    """Compare the candidate with the model promoted before.

    If both were evaluated on the same pairs, their recorded metrics are compared. Otherwise the
    previous model scores the current test pairs, without those that it was trained on, and the
    candidate is measured on the same remainder.

    Args:
        candidate_facts: the candidate's ``model.json``.
        metrics: ``reports/metrics.json``.
        test: columns ``smiles``, ``sequence``, ``label``, ``candidate_score``.
    """
    facts = previous.facts
    recorded = previous.metrics
    if recorded is not None and all(
        facts["data_sha256"].get(name) == candidate_facts["data_sha256"].get(name)
        for name in MEASURED_ON
    ):
        return PreviousComparison(
            model=facts["name"],
            model_sha256=previous.model_sha256,
            basis="recorded",
            reason="both were evaluated on the same data and split",
            pairs=metrics["candidate"]["n"],
            previous=_ranking_of(recorded["candidate"]),
            candidate=_ranking_of(metrics["candidate"]),
        )
    return _rescore(previous, facts, test)


def _rescore(previous: Promoted, facts: dict[str, Any], test: pd.DataFrame) -> PreviousComparison:
    written = facts.get("format_version", 1)
    if written != FORMAT_VERSION:
        reason = (
            f"it was written in format {written}, this code reads format {FORMAT_VERSION}, and it "
            "was evaluated on other data"
        )
        return _incomparable(previous, facts, reason)
    if facts["feature_version"] != FEATURE_VERSION:
        reason = (
            f"it needs feature version {facts['feature_version']}, this code computes "
            f"{FEATURE_VERSION}, and it was evaluated on other data"
        )
        return _incomparable(previous, facts, reason)
    try:
        predictor = Predictor.load(previous.folder)
    except ConfigError as error:
        reason = f"this code no longer knows its configuration ({' '.join(str(error).split())})"
        return _incomparable(previous, facts, reason)
    pairs = [Pair(*row) for row in test[["smiles", "sequence"]].itertuples(index=False, name=None)]
    featurized = predictor.featurize(pairs)
    scores, _ = predictor.scores(featurized)
    trained_on = predictor.reference_facts(featurized).pair_seen
    kept = featurized.valid[~trained_on]
    labels = test["label"].to_numpy()[kept]
    reason = (
        f"the data or the split changed since: it scored {len(kept)} of {len(test)} test pairs "
        f"anew; {int(trained_on.sum())} were left out because it was trained on them"
    )
    refused = len(test) - len(featurized.valid)
    if refused:
        reason += f", {refused} because it refuses their structure"
    return PreviousComparison(
        model=facts["name"],
        model_sha256=previous.model_sha256,
        basis="rescored",
        reason=reason,
        pairs=len(kept),
        left_out=len(test) - len(kept),
        previous=_ranking(labels, scores[~trained_on]),
        candidate=_ranking(labels, test["candidate_score"].to_numpy()[kept]),
    )


def _incomparable(previous: Promoted, facts: dict[str, Any], reason: str) -> PreviousComparison:
    return PreviousComparison(facts["name"], previous.model_sha256, "none", reason)


def _ranking_of(table: dict[str, Any]) -> dict[str, float | None]:
    return {metric: table[metric]["value"] for metric in ("auroc", "auprc")}


def _ranking(labels: NDArray[Any], scores: NDArray[np.float64]) -> dict[str, float | None]:
    if len(np.unique(labels)) < 2:
        return {"auroc": None, "auprc": None}
    return {
        "auroc": round(float(roc_auc_score(labels, scores)), DECIMALS),
        "auprc": round(float(average_precision_score(labels, scores)), DECIMALS),
    }


def fill_export(
    folder: Path,
    candidate: Path,
    metrics: dict[str, Any],
    test: pd.DataFrame,
    golden_pairs: int,
) -> Predictor:
    """Copy the candidate into the empty ``folder`` and write its golden predictions and metrics.

    Returns:
        The model, loaded from the copy.

    Raises:
        ModelError: the copy does not predict what ``evaluate`` measured.
    """
    shutil.copytree(candidate, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    predictor = Predictor.load(folder)
    golden = golden_predictions(predictor, test, golden_pairs)
    write_json(folder / GOLDEN, golden)
    write_json(folder / METRICS_FILE, metrics)
    return predictor


def version_facts(
    registered_model: str, version: int, decision: Decision, previous_version: int | None
) -> dict[str, Any]:
    """Return the content of ``version.json``.

    ``version`` is the registry's number: what is served is what the registry shows. It follows
    from what was registered before, so two clones agree on it if they start from equal
    registries, such as none.
    """
    return {
        "registered_model": registered_model,
        "version": version,
        "model": decision.candidate["model"],
        "model_sha256": decision.candidate["model_sha256"],
        "previous": None
        if decision.previous is None
        else {"version": previous_version, "comparison": asdict(decision.previous)},
    }


def keep(promoted: Promoted | None, destination: Path, decision: Decision) -> None:
    """After a refusal: leave the previous export as it is, or say that there is none.

    ``promoted`` may lie elsewhere, fetched from the registry because ``destination`` is empty.
    """
    if (destination / MODEL).is_file():
        return
    with write_folder(destination) as folder:
        if promoted is None:
            lines = [f"- {check.name}: {check.reason}" for check in decision.checks]
            text = (
                "# No model\n\nNo model was ever promoted here, and the last candidate was "
                f"refused.\n\n{decision.summary}\n\n"
            )
            write_text(folder / NO_MODEL, text + "\n".join(lines) + "\n")
            return
        ignored = shutil.ignore_patterns(MLFLOW_FILE)
        shutil.copytree(promoted.folder, folder, dirs_exist_ok=True, ignore=ignored)
