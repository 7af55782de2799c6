"""Every model's output for the test pairs, computed by the same Predictor that serves."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from stages.dti.errors import DataError, ModelError
from stages.dti.evaluation.metrics import ModelOutput
from stages.dti.paths import BASELINES, CANDIDATE, DRUGS, INTERACTIONS, SPLITS, TARGETS, Paths
from stages.dti.predictor import FeaturizedPairs, Pair, Predictor

CANDIDATE_KEY = "candidate"
"""The candidate's name among the models; the others have their baseline's."""


def read_test_pairs(paths: Paths) -> pd.DataFrame:
    """Return the test pairs in the split's order.

    Returns:
        Columns ``drug_key``, ``target_key``, ``label`` (int8), ``smiles``, ``sequence``.

    Raises:
        DataError: there are none, or the tables don't belong together.
    """
    splits = pd.read_parquet(paths.read(SPLITS))
    chosen = splits.loc[splits["split"] == "test", ["drug_key", "target_key"]]
    if chosen.empty:
        raise DataError(f"{SPLITS} has no test pairs; raise split.test_fraction")
    labels = pd.read_parquet(paths.read(INTERACTIONS), columns=["drug_key", "target_key", "label"])
    drugs = pd.read_parquet(paths.read(DRUGS), columns=["drug_key", "smiles"])
    targets = pd.read_parquet(paths.read(TARGETS), columns=["target_key", "sequence"])
    test = chosen.merge(labels).merge(drugs).merge(targets)
    if len(test) != len(chosen):
        raise DataError(
            f"{len(chosen)} test pairs in {SPLITS} match {len(test)} rows of {INTERACTIONS}, "
            f"{DRUGS} and {TARGETS}; run `dvc repro split`"
        )
    return test


def load_models(paths: Paths) -> dict[str, Predictor]:
    """Return the candidate, then the baselines by name.

    Raises:
        ModelError: a folder is not a model, or a baseline takes the candidate's name.
    """
    baselines = sorted(folder for folder in paths.read(BASELINES).iterdir() if folder.is_dir())
    if any(folder.name == CANDIDATE_KEY for folder in baselines):
        raise ModelError(
            f"a baseline is called {CANDIDATE_KEY!r}, the candidate's own name in every report; "
            "rename it in the section `baselines`"
        )
    models = {CANDIDATE_KEY: Predictor.load(paths.read(CANDIDATE))}
    return models | {folder.name: Predictor.load(folder) for folder in baselines}


def score(
    models: Mapping[str, Predictor], test: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, ModelOutput]]:
    """Score the test pairs with every model; featurised once for all of equal parameters.

    Args:
        models: as ``load_models`` returns them.
        test: columns ``smiles``, ``sequence``.

    Returns:
        How near each pair is to the candidate's train data (columns ``drug_seen``,
        ``target_seen``, ``drug_similarity``, ``target_similarity``; rows as ``test``), and each
        model's output.

    Raises:
        DataError: a model refuses a pair that ``prepare`` had accepted.
    """
    pairs = [Pair(*row) for row in test[["smiles", "sequence"]].itertuples(index=False, name=None)]
    candidate = models[CANDIDATE_KEY]
    shared = _featurized(candidate, pairs)
    facts = candidate.reference_facts(shared)
    nearness = pd.DataFrame(
        {
            "drug_seen": facts.drug_seen,
            "target_seen": facts.target_seen,
            "drug_similarity": facts.drug_similarity,
            "target_similarity": facts.target_similarity,
        },
        index=test.index,
    )
    outputs = {}
    for name, model in models.items():
        content = model.content
        alike = content.features == shared.features and content.standardise == shared.standardise
        scores, probabilities = model.scores(shared if alike else _featurized(model, pairs))
        outputs[name] = ModelOutput(scores, probabilities, model.info.threshold)
    return nearness, outputs


def _featurized(model: Predictor, pairs: list[Pair]) -> FeaturizedPairs:
    ready = model.featurize(pairs)
    refused = [(pair, why) for pair, why in zip(pairs, ready.reasons, strict=True) if why]
    if refused:
        pair, reason = refused[0]
        raise DataError(
            f"model {model.info.name} refuses {len(refused)} of {len(pairs)} test pairs that "
            f"`prepare` accepted, the first {pair.smiles!r}: {reason}; "
            "run `dvc repro`, so that both follow the same rules"
        )
    return ready
