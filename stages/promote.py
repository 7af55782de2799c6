"""Stage ``promote``: may the candidate replace the promoted model? If so, it does.

In:
    ``reports/metrics.json``, ``reports/evaluation/`` (the candidate's predictions, the strata),
    ``models/candidate/``; ``data/interim/{interactions,drugs,targets}.parquet`` and
    ``data/processed/splits.parquet`` for the test pairs; for the model card also
    ``reports/{prepare_metrics,validation_metrics,leakage,training_metrics}.json``.
    ``models/promoted/`` as it was before (DVC keeps it: ``persist: true``); where it is empty, the
    version that the registry's alias names.
Out:
    ``models/promoted/``: the exported model (``stages/dti/lifecycle/promotion.py``). After a
    refusal it stays as it was.
    ``reports/decision.json``: verdict, every check with its reason, the strongest baseline, the
    comparison with the model promoted before (``gates.Decision``).
Sections:
    ``promote``, ``environment``; for the model card ``dataset`` and ``evaluate``; ``tracking`` as
    a side channel: the registry.

The registry gets a version, and its alias moves. In a run that is not the repository's own (a
queued DVC experiment, a direct run into a Hydra folder) the version is the ``challenger``:
``production`` goes on naming what the repository holds, until ``dvc repro -f promote`` there.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from stages.dti.atomic import write_folder, write_json, write_text
from stages.dti.config.dataset import DatasetConfig
from stages.dti.config.environment import EnvironmentConfig
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.promote import PromoteConfig
from stages.dti.config.tracking import TrackingConfig
from stages.dti.data.test_pairs import read_test_pairs
from stages.dti.errors import DataError
from stages.dti.lifecycle import registry
from stages.dti.lifecycle.card import Measured, model_card
from stages.dti.lifecycle.gates import Decision, decide
from stages.dti.lifecycle.promotion import (
    CARD,
    EXPORTED,
    MODEL,
    VERSION,
    WRITTEN_HERE,
    Promoted,
    compare,
    fill_export,
    keep,
    read_json,
    recorded_comparison,
    version_facts,
)
from stages.dti.lifecycle.tracking_store import Store, configure
from stages.dti.lifecycle.tracking_uri import is_experiment_copy
from stages.dti.model_files import seal_export, verify_folder
from stages.dti.paths import (
    CANDIDATE,
    DECISION,
    EVALUATION,
    LEAKAGE,
    METRICS,
    PREPARE_METRICS,
    PROMOTED,
    TRAINING_METRICS,
    VALIDATION_METRICS,
    Paths,
)
from stages.dti.predictor import Predictor
from stages.dti.stage import main

CHALLENGER = "challenger"

logger = logging.getLogger(__name__)


def run(
    paths: Paths,
    *,
    promote: PromoteConfig,
    environment: EnvironmentConfig,
    dataset: DatasetConfig,
    evaluate: EvaluateConfig,
    tracking: TrackingConfig,
) -> None:
    """Decide, then export and register, or leave everything as it is."""
    store = configure(tracking)
    name = tracking.registered_model
    candidate = paths.read(CANDIDATE)
    sha256 = verify_folder(candidate)
    metrics = read_json(paths.read(METRICS))
    test = _test_with_scores(paths)
    own_run = paths.inputs == paths.outputs and not is_experiment_copy(paths.outputs)

    with tempfile.TemporaryDirectory() as scratch:
        before = Promoted.find(paths.inputs / PROMOTED)
        if before is None and registry.aliased_version(store, name, environment.alias):
            uri = f"models:/{name}@{environment.alias}"
            before = Promoted.find(registry.fetch(store, uri, Path(scratch)))
        if before is None:
            comparison = None
        elif before.model_sha256 == sha256:
            comparison = recorded_comparison(before)
        else:
            comparison = compare(before, read_json(candidate / MODEL), metrics, test)
        decision = decide(metrics, sha256, comparison, promote, environment)
        if decision.verdict == "promoted":
            with write_folder(paths.write(PROMOTED)) as folder:
                predictor = fill_export(folder, candidate, metrics, test, promote.golden_pairs)
                facts = _measured(paths, predictor, dataset, evaluate, metrics, decision)
                write_text(folder / CARD, model_card(facts))
                _register(store, name, folder, before, decision, metrics)
            version = read_json(paths.write(PROMOTED) / VERSION)
            alias = environment.alias if own_run else CHALLENGER
            if registry.promote(store, version, alias, decision.to_dict()):
                logger.info("%s: %s now names version %d", name, alias, version["version"])
        else:
            keep(before, paths.write(PROMOTED), decision)
    write_json(paths.write(DECISION), decision.to_dict())
    logger.info("%s", decision.summary)


def _test_with_scores(paths: Paths) -> pd.DataFrame:
    """Return the test pairs (``read_test_pairs``) with ``candidate_score``."""
    test = read_test_pairs(paths)
    predictions = pd.read_parquet(paths.read(EVALUATION) / "predictions.parquet")
    keys = ["drug_key", "target_key"]
    scored = test.merge(predictions[[*keys, "candidate_score"]], on=keys, how="left")
    unscored = int(scored["candidate_score"].isna().sum())
    if unscored:
        raise DataError(
            f"{unscored} of {len(test)} test pairs have no prediction in {EVALUATION}; "
            "run `dvc repro evaluate`"
        )
    return scored


def _measured(
    paths: Paths,
    predictor: Predictor,
    dataset: DatasetConfig,
    evaluate: EvaluateConfig,
    metrics: dict[str, Any],
    decision: Decision,
) -> Measured:
    return Measured(
        model=predictor.content,
        dataset=dataset,
        prepare=read_json(paths.read(PREPARE_METRICS)),
        leakage=read_json(paths.read(LEAKAGE)),
        validation=read_json(paths.read(VALIDATION_METRICS)),
        training=read_json(paths.read(TRAINING_METRICS)),
        metrics=metrics,
        strata=read_json(paths.read(EVALUATION) / "strata.json"),
        confidence=evaluate.confidence,
        decision=decision,
    )


def _register(
    store: Store,
    name: str,
    folder: Path,
    before: Promoted | None,
    decision: Decision,
    metrics: dict[str, Any],
) -> None:
    """Register the export, and write the version that it has into its ``version.json``.

    A version that is registered already gets the files beside the model anew, so that the registry
    gives back what is exported.
    """
    sha256 = decision.candidate["model_sha256"]
    if before is not None and before.model_sha256 != sha256:
        # A registry that was lost, or a new one, must know the model that one may roll back to.
        recorded = before.metrics or {}
        candidate = recorded.get("candidate", {})
        registry.register(store, name, before.folder, before.model_sha256, candidate)
    version = registry.register(store, name, folder, sha256, metrics["candidate"])
    previous_version = None
    if decision.previous is not None:
        previous_version = registry.find_version(store, name, decision.previous.model_sha256)
    write_json(folder / VERSION, version_facts(name, version, decision, previous_version))
    seal_export(folder, EXPORTED)
    for file in WRITTEN_HERE:
        registry.add_file(store, name, version, folder / file)


if __name__ == "__main__":
    main(run)
