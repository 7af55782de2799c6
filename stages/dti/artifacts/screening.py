"""``reports/screening_metrics.json``: what was screened, and how much of it is ranked."""

from __future__ import annotations

from stages.dti.artifacts.base import Artifact, Count


class ScreeningMetrics(Artifact):
    """Counts; without a promoted model ``model`` is ``None`` and the optional ones are not there.

    Attributes:
        drugs_duplicate: rows whose structure, once standardised, another row holds.
        targets_widened: for how many targets the margin was too small to tell that no better drug
            was left out, so that more candidates were taken.
    """

    model: str | None
    pairs: Count
    ranked: Count
    library_rows: Count | None = None
    drugs: Count | None = None
    drugs_invalid: Count | None = None
    drugs_duplicate: Count | None = None
    targets: Count | None = None
    targets_invalid: Count | None = None
    targets_widened: Count | None = None
    ranked_interacting: Count | None = None
    ranked_in_train: Count | None = None
