"""``reports/featurize_metrics.json``: of how much the features were computed."""

from __future__ import annotations

from stages.dti.artifacts.base import Artifact, Count


class FeaturizeMetrics(Artifact):
    """Counts; ``targets_cut``: sequences longer than ``features.max_residues``."""

    drugs: Count
    drugs_rejected: Count
    drugs_in_train: Count
    atoms: Count
    bonds: Count
    targets: Count
    targets_rejected: Count
    targets_in_train: Count
    targets_cut: Count
    residues: Count
