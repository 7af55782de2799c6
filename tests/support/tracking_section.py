"""The section ``tracking`` for a store that a test makes."""

from __future__ import annotations

from stages.dti.config.tracking import TrackingConfig


def tracking_at(uri: str, *, system_metrics: bool = False) -> TrackingConfig:
    """Return the section for the store at ``uri``."""
    return TrackingConfig(
        uri=uri,
        experiment_prefix="test",
        registered_model="drug_target_interaction",
        system_metrics=system_metrics,
    )
