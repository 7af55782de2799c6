"""``reports/evaluation/{strata,applicability,robustness}.json``: where the candidate fails."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.dti.artifacts.base import Artifact, Count, Share
from stages.dti.artifacts.measured import CountedShare, Difference, Measure


class Ranking(Artifact):
    """How well a model ranks."""

    auroc: Measure
    auprc: Measure

    def of(self, metric: Literal["auroc", "auprc"]) -> Measure:
        """Return a metric by its name."""
        found: Measure = getattr(self, metric)
        return found


class Stratum(Artifact):
    """Some of the test pairs, and every model on them.

    Attributes:
        reason: why nothing is measured on them.
    """

    name: str
    n: Count
    prevalence: Share | None
    models: dict[str, Ranking]
    reason: str | None = None


class SeenStratum(Stratum):
    """By whether drug and target stand in train."""

    drug_seen: bool
    target_seen: bool


class SimilarityStratum(Stratum):
    """By the similarity of the nearest drug in train: ``[low, high)``, the last one closed."""

    low: Share
    high: Share


class Minimum(Artifact):
    """Pairs, and pairs per class, below which a stratum is only counted."""

    pairs: Count
    per_class: Count


class Strata(Artifact):
    """AUROC and AUPRC by what was met in train."""

    minimum: Minimum
    seen: list[SeenStratum]
    drug_similarity: list[SimilarityStratum]


class DomainLimits(Artifact):
    """The least similarity to train at which a pair is inside the applicability domain."""

    drug_limit: Share
    target_limit: Share


class Questions(Artifact):
    """The AUROC at which a warning tells errors, and pairs with something unseen."""

    wrong: Measure
    drug_unseen: Measure
    target_unseen: Measure
    scaffold_unseen: Measure

    def of(self, question: str) -> Measure:
        """Return a question's answer by its name."""
        found: Measure = getattr(self, question)
        return found


class Applicability(Artifact):
    """Does the candidate know when it does not know?

    Attributes:
        inside, outside: share of wrong answers there.
        warnings: by the warning's name.
    """

    domain: DomainLimits
    inside: CountedShare
    outside: CountedShare
    warnings: dict[str, Questions]


class Effect(Artifact):
    """What one change of the inputs does to the candidate's answers, in numbers.

    Attributes:
        expected: how much it should matter.
        n: changed pairs that were scored.
        skipped, refused: reason → pairs for which the change was not possible, or that the model
            refuses.
        mean_change, p95_change, largest_change: of the probability, absolute.
        changed: pairs with any other score or probability.
        flipped: share of the decisions.
        rank_correlation: of the scores, Spearman.
        auroc_before, auroc, auroc_difference: on the same resamples.
        invariant: where nothing is expected: whether nothing changed.
    """

    name: str
    label: str
    side: Literal["drug", "target"]
    expected: Literal["none", "little", "much"]
    n: Count
    skipped: dict[str, Count]
    refused: dict[str, Count]
    mean_change: Share | None
    p95_change: Share | None
    largest_change: Share | None
    changed: Count
    flipped: Share | None
    rank_correlation: Annotated[float, Field(ge=-1, le=1)] | None
    auroc_before: Measure
    auroc: Measure
    auroc_difference: Difference
    invariant: bool | None = None


class JudgedEffect(Effect):
    """An effect with its verdict, and in a sentence."""

    verdict: str
    finding: str


class Robustness(Artifact):
    """What changed inputs do, on ``n`` of the ``n_test`` test pairs."""

    n: Count
    prevalence: Share | None
    n_test: Count
    perturbations: list[JudgedEffect]
