"""What a changed input does to the answers of a model, on labelled pairs.

Three expectations: the same pair written otherwise must give the same answer to the last bit; a
small change of the molecule or protein should matter little; another molecule or protein in its
place should matter much. A model whose AUROC does not fall when every target is swapped ranks by
the drug alone, the known failure of interaction models (Chen et al. 2019, PLOS ONE,
doi:10.1371/journal.pone.0220113).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NotRequired, TypedDict

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from stages.dti.artifacts.evaluation import Effect, JudgedEffect, Robustness
from stages.dti.artifacts.measured import Difference, Measure
from stages.dti.config.evaluate import EvaluateConfig
from stages.dti.config.standardise import StandardiseConfig
from stages.dti.evaluation.bootstrap import MIN_PER_CLASS
from stages.dti.evaluation.metrics import DECIMALS, WORSE, Comparison, ModelOutput, prevalence
from stages.dti.evaluation.perturbations import (
    NotPossibleError,
    Perturbation,
    perturbations,
)

CHANCE = 0.5

UNCHANGED, BROKEN = "unchanged", "broken"
HOLDS, FALLS = "AUROC holds", "AUROC falls"
NO_EFFECT, UNDECIDED = "no clear fall", "undecided"
NOT_MEASURED = "not measured"

_LABELS = {
    "smiles_rewritten": "SMILES written otherwise",
    "salt_added": "Hydrochloride in place of the free drug",
    "sequence_rewritten": "Sequence in lower case, in lines",
    "residues_substituted_1": "1 % of residues substituted",
    "residues_substituted_5": "5 % of residues substituted",
    "residues_substituted_10": "10 % of residues substituted",
    "end_cut": "Last 10 % of the sequence cut off",
    "methyl_added": "Methyl group added",
    "sequence_shuffled": "Sequence shuffled",
    "target_swapped": "Target swapped for another",
    "drug_swapped": "Drug swapped for another",
}
"""What the perturbations are called."""

_LOST = {
    "sequence_shuffled": ("the order of residues", "the drug and the target's composition"),
    "target_swapped": ("the target", "the drug"),
    "drug_swapped": ("the drug", "the target"),
}
"""What a change takes from the model, and what it leaves."""


@dataclass(frozen=True)
class Answers:
    """What a model says of pairs that it may refuse.

    Attributes:
        reasons: per pair, why it is refused, or ``None``.
        scores, probabilities: float64 ``(pairs,)``; NaN where refused.
    """

    reasons: list[str | None]
    scores: NDArray[np.float64]
    probabilities: NDArray[np.float64]


Ask = Callable[[Sequence[str], Sequence[str]], Answers]
"""SMILES and sequences of pairs → the model's answers."""


def robustness_report(
    test: pd.DataFrame,
    output: ModelOutput,
    ask: Ask,
    standardise: StandardiseConfig,
    config: EvaluateConfig,
) -> Robustness:
    """Return what each perturbation does, on a seeded sample of the pairs.

    Args:
        test: columns ``drug_key``, ``target_key``, ``label``, ``smiles``, ``sequence``.
        output: the model's for the unchanged pairs; row i belongs to row i of ``test``.
        ask: the same model, asked about changed pairs.
    """
    rows = sample_rows(test, config)
    sample, before = test.iloc[rows], output.rows(rows)
    found = []
    if len(rows):
        drugs, targets = test["smiles"].tolist(), test["sequence"].tolist()
        for perturbation in perturbations(drugs, targets, standardise):
            found.append(_measure(perturbation, sample, before, ask, config))
    labels = sample["label"].to_numpy() == 1
    return Robustness(
        n=len(labels), prevalence=prevalence(labels), n_test=len(test), perturbations=found
    )


def sample_rows(test: pd.DataFrame, config: EvaluateConfig) -> NDArray[np.int64]:
    """Return at most ``robustness_pairs`` rows, in order, int64.

    Drawn by the hash of their keys, so the order of the pairs is of no account. The prevalence is
    that of all pairs, unless too few of a class would be left for an interval.
    """
    limit = config.robustness_pairs
    if limit >= len(test):
        return np.arange(len(test))
    keys = test[["drug_key", "target_key"]].itertuples(index=False, name=None)
    drawn = np.argsort([_seed(config.seed, "sample", *pair) for pair in keys], kind="stable")
    labels = test["label"].to_numpy() == 1
    floor = min(MIN_PER_CLASS, limit // 2)
    positives = int(np.clip(round(limit * labels.mean()), floor, limit - floor))
    positives = min(positives, int(labels.sum()))
    chosen = [drawn[labels[drawn]][:positives], drawn[~labels[drawn]][: limit - positives]]
    return np.sort(np.concatenate(chosen))


def _measure(
    perturbation: Perturbation,
    sample: pd.DataFrame,
    before: ModelOutput,
    ask: Ask,
    config: EvaluateConfig,
) -> JudgedEffect:
    column = "smiles" if perturbation.side == "drug" else "sequence"
    texts, skipped = _changed_texts(perturbation, sample, column, config.seed)
    asked = np.array([position for position, text in enumerate(texts) if text is not None], int)
    inputs = sample.iloc[asked].assign(**{column: [text for text in texts if text is not None]})
    answers = ask(inputs["smiles"].tolist(), inputs["sequence"].tolist())
    scored = np.array([reason is None for reason in answers.reasons], dtype=bool)
    after = ModelOutput(answers.scores[scored], answers.probabilities[scored], before.threshold)
    kept = asked[scored]
    refused = dict(Counter(filter(None, answers.reasons)))
    labels = sample["label"].to_numpy()[kept] == 1
    numbers = _numbers(labels, before.rows(kept), after, config)
    if perturbation.expected == "none":
        unchanged = not refused and numbers["changed"] == 0
        numbers["invariant"] = unchanged if len(asked) else None
    effect = Effect(
        name=perturbation.name,
        label=_LABELS[perturbation.name],
        side=perturbation.side,
        expected=perturbation.expected,
        n=len(kept),
        skipped=skipped,
        refused=refused,
        **numbers,
    )
    verdict = _verdict(effect)
    return JudgedEffect(**effect.given(), verdict=verdict, finding=_finding(effect, verdict))


def _changed_texts(
    perturbation: Perturbation, sample: pd.DataFrame, column: str, seed: int
) -> tuple[list[str | None], dict[str, int]]:
    """Return each pair's changed text, ``None`` where it cannot be, and why not, with the count."""
    keys = ["drug_key", "target_key"] if perturbation.per_pair else [f"{perturbation.side}_key"]
    texts: list[str | None] = []
    skipped: Counter[str] = Counter()
    for text, *own in sample[[column, *keys]].itertuples(index=False, name=None):
        random = np.random.default_rng(_seed(seed, perturbation.name, *own))
        try:
            texts.append(perturbation.change(text, random))
        except NotPossibleError as error:
            texts.append(None)
            skipped[str(error)] += 1
    return texts, dict(skipped)


class _Numbers(TypedDict):
    """What is measured of an effect; ``Effect`` says what each is."""

    mean_change: float | None
    p95_change: float | None
    largest_change: float | None
    changed: int
    flipped: float | None
    rank_correlation: float | None
    auroc_before: Measure
    auroc: Measure
    auroc_difference: Difference
    invariant: NotRequired[bool | None]


def _numbers(
    labels: NDArray[np.bool_], before: ModelOutput, after: ModelOutput, config: EvaluateConfig
) -> _Numbers:
    if not len(labels):
        reason = "no pair could be changed"
        nothing = Measure(value=None, low=None, high=None, reason=reason)
        return {
            "mean_change": None,
            "p95_change": None,
            "largest_change": None,
            "changed": 0,
            "flipped": None,
            "rank_correlation": None,
            "auroc_before": nothing,
            "auroc": nothing,
            "auroc_difference": Difference(
                value=None, low=None, high=None, reason=reason, verdict=None
            ),
        }
    change = np.abs(after.probabilities - before.probabilities)
    flipped = (after.probabilities >= after.threshold) != (before.probabilities >= before.threshold)
    comparison = Comparison(labels, {"before": before, "after": after}, config, ("auroc",))
    return {
        "mean_change": round(float(change.mean()), DECIMALS),
        "p95_change": round(float(np.quantile(change, 0.95)), DECIMALS),
        # Three digits, not decimals: what isn't 0 must never be written as 0.
        "largest_change": float(f"{change.max():.3g}"),
        "changed": int(np.sum((after.scores != before.scores) | (change != 0))),
        "flipped": round(float(flipped.mean()), DECIMALS),
        "rank_correlation": _rank_correlation(before.scores, after.scores),
        "auroc_before": comparison.metrics("before")["auroc"],
        "auroc": comparison.metrics("after")["auroc"],
        "auroc_difference": comparison.difference("after", "before", "auroc"),
    }


def _rank_correlation(before: NDArray[np.float64], after: NDArray[np.float64]) -> float | None:
    if min(np.ptp(before), np.ptp(after)) == 0:
        return None
    return round(float(spearmanr(before, after).statistic), DECIMALS)


def _verdict(effect: Effect) -> str:
    if effect.expected == "none":
        return {True: UNCHANGED, False: BROKEN, None: NOT_MEASURED}[effect.invariant]
    if effect.expected == "much" and effect.n and not effect.changed:
        return NO_EFFECT
    before, difference = effect.auroc_before, effect.auroc_difference
    if difference.low is None:
        return NOT_MEASURED
    if difference.verdict == WORSE:
        return FALLS
    if effect.expected == "little":
        return HOLDS
    # That the interval holds 0 proves nothing where it also holds the loss of half of all that
    # the model knows, or where the model knew nothing to lose.
    assert before.value is not None
    assert before.low is not None
    shown = before.low > CHANCE and difference.low > -(before.value - CHANCE) / 2
    return NO_EFFECT if shown else UNDECIDED


def _finding(effect: Effect, verdict: str) -> str:
    label, pairs = effect.label, effect.n
    lost, left = _LOST.get(effect.name, ("", ""))
    if verdict == UNCHANGED:
        return f"{label}: every one of {pairs} answers is the same to the last bit."
    if verdict == BROKEN:
        refused = sum(effect.refused.values())
        return (
            f"{label}: broken. {effect.changed} of {pairs} answers changed, the probability by "
            f"up to {effect.largest_change or 0:g}, and {refused} more were refused, "
            "though the pairs are the same."
        )
    if verdict == NOT_MEASURED:
        reasons = [*effect.skipped, *effect.refused]
        reason = effect.auroc_difference.reason or ""
        return f"{label}: not measured, {reason if pairs else '; '.join(reasons)}."
    if verdict == NO_EFFECT and not effect.changed:
        return f"{label}: none of {pairs} answers changes: the model does not read {lost}."
    before, after = effect.auroc_before.value, effect.auroc.value
    assert effect.mean_change is not None
    assert effect.flipped is not None
    assert before is not None
    assert after is not None
    moved = (
        f"the probability moves by {effect.mean_change:.3f} on average, "
        f"{100 * effect.flipped:.1f} % of the decisions flip"
    )
    auroc = f"the AUROC goes from {before:.3f} to {after:.3f}"
    if verdict == NO_EFFECT:
        return (
            f"{label}: {moved}, but {auroc}, no fall beyond its uncertainty: the model gains "
            f"nothing that can be shown from {lost}, it ranks by {left} alone."
        )
    if verdict == UNDECIDED:
        return f"{label}: {moved}; {auroc}, too uncertain a difference to tell if it matters."
    if effect.expected == "much" and before > CHANCE:
        lead = max(0.0, (after - CHANCE) / (before - CHANCE))
        source = f": most of it does not come from {lost}" if lead > 1 / 2 else ""
        return (
            f"{label}: {moved}; {auroc}, which leaves {100 * lead:.0f} % of its lead over chance"
            f"{source}."
        )
    return f"{label}: {moved}; {auroc}."


def _seed(seed: int, *parts: str) -> int:
    """Return a seed of 56 bits that depends on these words alone, on every machine."""
    return int.from_bytes(sha256("/".join([str(seed), *parts]).encode()).digest()[:7], "big")
