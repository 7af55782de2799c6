"""``reports/leakage.json``: what the parts of a split share, and whether it is what it claims."""

from __future__ import annotations

from stages.dti.artifacts.base import Artifact, Count, Number, Share


class ClaimFound(Artifact):
    """One thing that a split's name claims; it holds if ``found`` is at most ``limit``."""

    name: str
    statement: str
    found: float
    limit: Number
    passed: bool


class Part(Artifact):
    """The pairs of a part."""

    pairs: Count
    drugs: Count
    targets: Count
    positives: Count
    prevalence: Share | None
    fraction_of_all: Share | None


class Overlap(Artifact):
    """What two parts share."""

    pairs: Count
    drugs: Count
    targets: Count


class Seen(Artifact):
    """Shares of the test pairs whose drug, target, both, neither stand in train."""

    drug_seen_fraction: Share | None
    target_seen_fraction: Share | None
    both_seen_fraction: Share | None
    neither_seen_fraction: Share | None


class Quantiles(Artifact):
    """Of a similarity."""

    min: Share | None
    q05: Share | None
    q25: Share | None
    median: Share | None
    q75: Share | None
    q95: Share | None
    max: Share | None


class Histogram(Artifact):
    """Pairs by similarity; one more edge than bins."""

    edges: list[Share]
    pairs: list[Count]


class TargetSimilarity(Artifact):
    """How similar the test pairs' targets are to the nearest ones in train."""

    measure: str
    quantiles: Quantiles
    histogram: Histogram


class DrugSimilarity(TargetSimilarity):
    """Likewise of drugs, and how many are unseen by key but the same to a fingerprint."""

    unseen_but_identical_pairs: Count


class JointSimilarity(Artifact):
    """Test pairs by both similarities, ``(drug bins, target bins)``."""

    drug_edges: list[Share]
    target_edges: list[Share]
    pairs: list[list[Count]]


class NearestTrainSimilarity(Artifact):
    """How near the test pairs lie to train."""

    drug: DrugSimilarity
    target: TargetSimilarity
    joint: JointSimilarity


class Leakage(Artifact):
    """What ``split`` found.

    Attributes:
        parts: ``train``, ``val``, ``test``, ``unused``, and ``adapt`` where there is one.
        overlap: ``<part>_<other part>`` → what they share.
        validation_carved_from_train: the source names no validation part.
    """

    kind: str
    seed: Count
    parts: dict[str, Part]
    overlap: dict[str, Overlap]
    test_pairs: Seen
    nearest_train_similarity: NearestTrainSimilarity
    validation_carved_from_train: bool
    claims: list[ClaimFound]
