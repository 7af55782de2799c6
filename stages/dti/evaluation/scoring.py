"""Every model's output for the test pairs, computed by the same Predictor that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.dti.chemistry.scaffolds import murcko_scaffold
from stages.dti.errors import DataError, ModelError
from stages.dti.evaluation.metrics import ModelOutput
from stages.dti.evaluation.robustness import Answers, Ask
from stages.dti.paths import BASELINES, CANDIDATE, Paths
from stages.dti.prediction.featurized_pairs import FeaturizedPairs
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair

CANDIDATE_KEY = "candidate"
"""The candidate's name among the models; the others have their baseline's."""


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
    """Score the test pairs with every model; featurized once for all of equal parameters.

    Args:
        models: as ``load_models`` returns them.
        test: columns ``smiles``, ``sequence``.

    Returns:
        How near each pair is to the candidate's train data (columns ``drug_seen``,
        ``target_seen``, ``scaffold_seen``, ``drug_similarity``, ``target_similarity``,
        ``domain_distance``; rows as ``test``), and each model's output.

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
            "scaffold_seen": _scaffolds_seen(candidate, shared),
            "drug_similarity": facts.drug_similarity,
            "target_similarity": facts.target_similarity,
            "domain_distance": facts.domain_distance,
        },
        index=test.index,
    )
    outputs = {}
    for name, model in models.items():
        content = model.content
        alike = content.features == shared.features and content.standardise == shared.standardise
        said = model.outputs(shared if alike else _featurized(model, pairs))
        outputs[name] = ModelOutput(
            said.scores, said.probabilities, model.info.threshold, said.spread
        )
    return nearness, outputs


@dataclass(frozen=True)
class OnTheRest:
    """What a model from elsewhere says of the test pairs that it can be tested on.

    Attributes:
        kept: bool ``(pairs,)``, those pairs: it was not trained on them and accepts them.
        output: of the kept pairs.
        trained_on: how many pairs were left out because it was trained on them.
        refused: how many because it refuses their structure or sequence.
    """

    kept: NDArray[np.bool_]
    output: ModelOutput
    trained_on: int
    refused: int


def score_the_rest(name: str, model: Predictor, test: pd.DataFrame) -> OnTheRest:
    """Score the test pairs with a model from elsewhere, without those that it was trained on.

    Args:
        test: columns ``smiles``, ``sequence``.

    Raises:
        DataError: no pair remains.
    """
    pairs = [Pair(*row) for row in test[["smiles", "sequence"]].itertuples(index=False, name=None)]
    featurized = model.featurize(pairs)
    new = ~model.reference_facts(featurized).pair_seen
    kept = np.zeros(len(pairs), dtype=bool)
    kept[featurized.valid[new]] = True
    trained_on, refused = int((~new).sum()), len(pairs) - len(featurized.valid)
    if not kept.any():
        raise DataError(
            f"evaluate.pretrained.{name} was trained on {trained_on} of the {len(pairs)} test "
            f"pairs and refuses {refused}: nothing is left to test it on; leave it out"
        )
    said = model.outputs(featurized)
    output = ModelOutput(said.scores, said.probabilities, model.info.threshold, said.spread)
    return OnTheRest(kept, output.rows(new), trained_on, refused)


def asker(model: Predictor) -> Ask:
    """Return the model as a function of SMILES and sequences, of which it may refuse some."""

    def ask(smiles: Sequence[str], sequences: Sequence[str]) -> Answers:
        ready = model.featurize([Pair(*row) for row in zip(smiles, sequences, strict=True)])
        said = model.outputs(ready)
        answers = Answers(ready.reasons, *np.full((2, len(smiles)), np.nan))
        answers.scores[ready.valid] = said.scores
        answers.probabilities[ready.valid] = said.probabilities
        return answers

    return ask


def _scaffolds_seen(model: Predictor, pairs: FeaturizedPairs) -> NDArray[np.bool_]:
    """Return whether each pair's drug has the Bemis-Murcko scaffold of a drug in train."""
    known = {murcko_scaffold(smiles) for smiles in model.content.reference.smiles}
    seen = np.array([murcko_scaffold(smiles) in known for smiles in pairs.smiles], dtype=bool)
    return seen[pairs.drug_index]


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
