"""``reports/prepare_metrics.json``: from rows to pairs."""

from __future__ import annotations

from stages.dti.artifacts.base import Artifact, Count, Share


class PrepareMetrics(Artifact):
    """Where every row went.

    Attributes:
        rejected_by_reason: reason → rows.
        drug_ids_of_several, target_ids_of_several: ids that name more than one structure.
        label_conflicts, published_split_conflicts: pairs whose rows disagree.
    """

    rows_read: Count
    rows_rejected: Count
    rows_merged: Count
    pairs: Count
    drugs: Count
    targets: Count
    positives: Count
    prevalence: Share
    drug_ids_of_several: Count
    target_ids_of_several: Count
    label_conflicts: Count
    published_split_conflicts: Count
    rejected_by_reason: dict[str, Count]
