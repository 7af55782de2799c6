"""``reports/metrics.json``: the candidate and every baseline on the test pairs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.dti.artifacts.base import Artifact, Count, Sha256, Share
from stages.dti.artifacts.measured import CountedShare, Difference, Measure, Metric


class Coverage(Artifact):
    """What prediction sets cover, against what was promised (``uncertainty/conformal.py``).

    Attributes:
        target: the share that was promised.
        mean_size, empty_fraction, both_fraction: of the sets.
    """

    target: Share
    coverage: CountedShare
    coverage_interacts: CountedShare
    coverage_no_interaction: CountedShare
    mean_size: Annotated[float, Field(ge=0, le=2)]
    empty_fraction: Share
    both_fraction: Share
    verdict: Literal["as promised", "below the promise"]


class Pretrained(Artifact):
    """Of a model that was trained elsewhere: which, and what it was not tested on."""

    sha256: Sha256
    source: str
    test_pairs_trained_on: Count
    test_pairs_refused: Count


class ModelMetrics(Artifact):
    """One model's metrics.

    Attributes:
        n: pairs that it was measured on.
        threshold: on the probability, chosen on validation.
        pretrained: of a model that was trained elsewhere.
    """

    n: Count
    prevalence: Share | None
    threshold: float
    accuracy: Measure
    precision: Measure
    recall: Measure
    specificity: Measure
    f1: Measure
    mcc: Measure
    auroc: Measure
    auprc: Measure
    brier: Measure
    ece: Measure
    conformal: Coverage
    pretrained: Pretrained | None = None

    def of(self, metric: Metric) -> Measure:
        """Return a metric by its name."""
        found: Measure = getattr(self, metric)
        return found


class CandidateMetrics(ModelMetrics):
    """The candidate's metrics, and which model it is."""

    model: str


class Differences(Artifact):
    """Candidate minus a baseline."""

    auroc: Difference
    auprc: Difference

    def of(self, metric: Literal["auroc", "auprc"]) -> Difference:
        """Return the difference of a metric by its name."""
        found: Difference = getattr(self, metric)
        return found


class PairCounts(Artifact):
    """The test set."""

    n: Count
    prevalence: Share | None
    drugs: Count
    targets: Count


class Metrics(Artifact):
    """What ``evaluate`` measured.

    Attributes:
        baselines, differences: by the baseline's name.
        same_as_candidate: baselines that are the candidate itself and so have no difference to it.
    """

    candidate: CandidateMetrics
    baselines: dict[str, ModelMetrics]
    differences: dict[str, Differences]
    same_as_candidate: list[str]
    test: PairCounts
