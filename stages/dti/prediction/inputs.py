"""Drugs and targets prepared for scoring: cleaned and featurized, each different one once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray

from stages.dti.chemistry.standardise import standardise_smiles
from stages.dti.config.features import FeaturesConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.errors import InvalidInputError
from stages.dti.features.drugs import featurize_drugs
from stages.dti.features.store import DrugFeatures, Features, TargetFeatures
from stages.dti.features.targets import featurize_targets

_DRUGS_AT_A_TIME = 64
"""Handed to a process."""


@dataclass(frozen=True)
class PreparedInputs(Generic[Features]):
    """Drugs or targets, cleaned and featurized.

    Attributes:
        reasons: per input, why it cannot be scored, or ``None``.
        rows: int64 ``(inputs,)``, the row of each input below; -1 where it cannot be scored.
        texts: canonical SMILES, or clean sequence, of each row; no two are equal.
        features: of each row.
    """

    reasons: list[str | None]
    rows: NDArray[np.int64]
    texts: list[str]
    features: Features


def prepare_drugs(
    smiles: Sequence[str],
    standardise: StandardiseConfig,
    features: FeaturesConfig,
    *,
    with_descriptors: bool = True,
    processes: int | None = 1,
) -> PreparedInputs[DrugFeatures]:
    """Standardise and featurize drugs.

    Args:
        with_descriptors: as ``featurize_drugs`` takes it.
        processes: how many share the work; ``None``: all available. The result is the same.
    """
    jobs = cpu_count() if processes is None else processes
    if jobs == 1:
        canonical = each_once(smiles, lambda text: standardise_smiles(text, standardise))
    else:
        blocks = [
            smiles[start : start + _DRUGS_AT_A_TIME]
            for start in range(0, len(smiles), _DRUGS_AT_A_TIME)
        ]
        results = Parallel(n_jobs=jobs)(delayed(_standardised)(b, standardise) for b in blocks)
        canonical = [drug for block in results for drug in block]
    return featurized_drugs(
        canonical, features, with_descriptors=with_descriptors, processes=processes
    )


def featurized_drugs(
    canonical: Sequence[str | InvalidInputError],
    features: FeaturesConfig,
    *,
    with_descriptors: bool,
    processes: int | None = 1,
) -> PreparedInputs[DrugFeatures]:
    """Featurize drugs, given as canonical SMILES or as the reason why there is none."""
    return _prepared(
        canonical,
        lambda texts: featurize_drugs(
            texts, features, with_descriptors=with_descriptors, processes=processes
        ),
    )


def prepare_targets(
    sequences: Sequence[str | InvalidInputError], features: FeaturesConfig
) -> PreparedInputs[TargetFeatures]:
    """Featurize targets, given as clean sequences or as the reason why there is none."""
    return _prepared(sequences, lambda texts: featurize_targets(texts, features))


def each_once(
    values: Sequence[Any], convert: Callable[[Any], str]
) -> list[str | InvalidInputError]:
    """Convert every value, equal ones once; an InvalidInputError stands in its value's place."""
    converted: dict[Any, str | InvalidInputError] = {}
    for value in values:
        if value not in converted:
            try:
                converted[value] = convert(value)
            except InvalidInputError as error:
                converted[value] = error
    return [converted[value] for value in values]


def _standardised(
    smiles: Sequence[str], config: StandardiseConfig
) -> list[str | InvalidInputError]:
    return each_once(smiles, lambda text: standardise_smiles(text, config))


def _prepared(
    cleaned: Sequence[str | InvalidInputError],
    featurize: Callable[[list[str]], tuple[Features, dict[int, str]]],
) -> PreparedInputs[Features]:
    unique = list(dict.fromkeys(value for value in cleaned if isinstance(value, str)))
    features, bad = featurize(unique)
    texts = [text for position, text in enumerate(unique) if position not in bad]
    row_of = {text: row for row, text in enumerate(texts)}
    reason_of = {unique[position]: reason for position, reason in bad.items()}
    return PreparedInputs(
        reasons=[reason_of.get(v) if isinstance(v, str) else str(v) for v in cleaned],
        rows=np.array([row_of.get(v, -1) if isinstance(v, str) else -1 for v in cleaned], np.int64),
        texts=texts,
        features=features,
    )
