"""``models/production.json``: what was promoted by an explicit act; in git.

Per alias (``production``, ``staging``) a list of promotions, the newest last.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict

from stages.dti.artifacts.base import Artifact, Count, Number, Sha256
from stages.dti.artifacts.decision import PreviousComparison


class Promotion(Artifact):
    """A model that was promoted.

    Attributes:
        data_sha256: artefact → hash of the data that it was measured on.
        test: ``n`` test pairs, and the metrics ``auroc`` and ``auprc`` on them.
        comparison: with the model before it, ``None`` for the first.
        commit: of the promoted state; like ``promoted_unix_s`` it decides nothing.
    """

    model: str
    model_sha256: Sha256
    dataset: str
    data_sha256: dict[str, Sha256]
    test: dict[str, Number | None]
    comparison: PreviousComparison | None
    commit: str
    promoted_unix_s: Count


class Production(Artifact):
    """Alias → its promotions, the newest last."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, list[Promotion]]

    remedy: ClassVar[str] = (
        "`make promote` alone writes it: take the committed one, "
        "`git checkout models/production.json`"
    )

    def of(self, alias: str) -> list[Promotion]:
        """Return the promotions to an alias."""
        return self.__pydantic_extra__.get(alias, [])

    def adding(self, alias: str, promotion: Promotion) -> Production:
        """Return the record with one more promotion to an alias."""
        known = self.__pydantic_extra__
        return Production.model_validate(known | {alias: [*self.of(alias), promotion]})
