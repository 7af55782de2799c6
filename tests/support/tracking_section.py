"""The section ``tracking`` for a store that a test makes, and an empty store."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest

from stages.dti.config.tracking import TrackingConfig
from stages.dti.tracking.store import configure
from stages.dti.tracking.uri import URI_VARIABLE


def tracking_at(uri: str, *, system_metrics: bool = False) -> TrackingConfig:
    """Return the section for the store at ``uri``."""
    return TrackingConfig(
        uri=uri,
        experiment_prefix="test",
        registered_model="drug_target_interaction",
        system_metrics=system_metrics,
    )


def write_empty_store(path: Path) -> TrackingConfig:
    """Write a store without runs and models, and return the section for it.

    MLflow makes its tables once in a process, which takes a second or more; every store is a copy.
    """
    path.write_bytes(_empty_store())
    return tracking_at(f"sqlite:///{path}")


@cache
def _empty_store() -> bytes:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.delenv(URI_VARIABLE, raising=False)
        path = Path(folder) / "mlflow.db"
        configure(tracking_at(f"sqlite:///{path}"))
        return path.read_bytes()
