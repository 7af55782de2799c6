"""Where runs and models are recorded: MLflow's tracking store and registry, once it has answered.

The modules of this folder import mlflow only when they are called: it takes a second.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from stages.dti.config.tracking import TrackingConfig
from stages.dti.errors import DtiError
from stages.dti.tracking.uri import (
    one_at_a_time,
    require_listener,
    sqlite_path,
    tracking_uri,
    unusable,
)

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

Experiment = Literal["baseline", "training", "evaluation", "production"]
"""The experiments are named ``<tracking.experiment_prefix>_<one of these>``."""

MODEL_TAG = "model_sha256"
"""What ties a run and a version to their model: the hash of the model folder's files."""


@dataclass(frozen=True)
class Store:
    """A tracking store and registry that has answered.

    Attributes:
        client: MLflow's client, bound to ``uri``; no global MLflow state is set.
        uri: where it is, with relative SQLite paths made absolute.
        prefix: of the experiments' names.
    """

    client: MlflowClient
    uri: str
    prefix: str

    def experiment_id(self, experiment: Experiment) -> str:
        """Return the id of one of the four experiments, made on first use."""
        from mlflow.exceptions import MlflowException

        name = f"{self.prefix}_{experiment}"
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self.client.create_experiment(name, self._artifact_location(name)))
        except MlflowException as error:
            # Another process may have made it in between, as two jobs of a sweep do.
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise unusable(self.uri, str(error)) from error
            return str(found.experiment_id)

    def _artifact_location(self, name: str) -> str | None:
        """Artifacts lie beside a SQLite file; a server has its own place for them."""
        if not self.uri.startswith("sqlite:"):
            return None
        folder = sqlite_path(self.uri).parent / "mlartifacts" / name
        return folder.as_uri()


def configure(tracking: TrackingConfig) -> Store:
    """Return the tracking store, once it has answered.

    Raises:
        DtiError: it does not answer, or cannot hold a registry; the message names one that works.
    """
    uri = tracking_uri(tracking)
    if uri.startswith("http"):
        require_listener(uri)
        # MLflow's own default waits for minutes before it gives up.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    client_class = _import_client()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with one_at_a_time(uri):
            client = client_class(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise unusable(uri, str(error).partition("\n")[0]) from error
    return Store(client, uri, tracking.experiment_prefix)


def find_training_run(store: Store, model_sha256: str) -> str | None:
    """Return the id of the newest run that made the model with this hash, or ``None``."""
    runs = store.client.search_runs(
        [store.experiment_id("training"), store.experiment_id("baseline")],
        filter_string=f"tags.{MODEL_TAG} = '{model_sha256}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return str(runs[0].info.run_id) if runs else None


def _import_client() -> type[MlflowClient]:
    """Import mlflow quietly: no telemetry, no messages about tables that it makes."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise DtiError(
            f"MLflow cannot be imported ({error}); install the extra: pip install '.[pipeline]'"
        ) from error
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    client: type[MlflowClient] = MlflowClient
    return client
