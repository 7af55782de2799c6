"""What a network adapts to. Apart from ``adaptation.py``, which needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from stages.dti.config.adaptation import AdaptationConfig, CdanConfig
from stages.dti.errors import DataError
from stages.dti.features.store import PairData


@dataclass(frozen=True)
class DomainAdaptation:
    """Adapt to the domain of ``pairs``, which have no labels."""

    config: CdanConfig
    pairs: PairData

    def __post_init__(self) -> None:
        if self.pairs.labels is not None:
            raise ValueError("pairs to adapt to must come without labels, so that none is learned")


def domain_adaptation(section: AdaptationConfig, unlabelled: PairData) -> DomainAdaptation | None:
    """Return the adaptation that the section asks for; ``None``: none.

    Raises:
        DataError: the split set no pairs of the test domain aside.
    """
    if not isinstance(section.root, CdanConfig):
        return None
    if not len(unlabelled):
        raise DataError(
            f"adaptation={section.root.name} needs unlabelled pairs of the test domain, and the "
            "split has none; use split=cluster or a cold split with split.adapt_fraction above 0"
        )
    return DomainAdaptation(section.root, unlabelled)
