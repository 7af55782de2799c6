"""The model registry (MLflow): versions, aliases, and the record of every promotion.

A version is found by the tag ``model_sha256``, so that registering the same model twice gives the
same version. An alias (``production``, ``staging``, ``challenger``) names the version in that
role. Each promotion is a run of the production experiment: what was in production when, and by
which decision, stays on record even when a version is promoted a second time.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.dti.atomic import write_json
from stages.dti.errors import ModelError
from stages.dti.lifecycle.tracking import recorded_run
from stages.dti.lifecycle.tracking_store import MODEL_TAG, Store, find_training_run
from stages.dti.lifecycle.tracking_uri import without_password

ARTIFACT = "model"
"""The folder of a run that holds the registered model."""

MODEL_URI = re.compile(r"models:/(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")

LOADER = "stages.dti.lifecycle.pyfunc"


def find_version(store: Store, name: str, model_sha256: str) -> int | None:
    """Return the number of the version that holds this model, the newest if there are several."""
    found = store.client.search_model_versions(
        f"name = '{name}' and tags.{MODEL_TAG} = '{model_sha256}'"
    )
    return max((int(version.version) for version in found), default=None)


def register(
    store: Store, name: str, folder: Path, model_sha256: str, metrics: Mapping[str, Any]
) -> int:
    """Return the version that holds ``folder``'s model; register it if there is none.

    The folder becomes an artefact of a run in the production experiment, beside an ``MLmodel``
    file by which MLflow loads it through the Predictor.

    Args:
        name: of the registered model.
        folder: an exported model.
        model_sha256: hash of the model's own files.
        metrics: test metrics, logged with the run.
    """
    existing = find_version(store, name, model_sha256)
    if existing is not None:
        return existing
    _require_name(store, name)
    tags = {MODEL_TAG: model_sha256}
    trained = find_training_run(store, model_sha256)
    if trained is not None:
        tags["training_run_id"] = trained
    with recorded_run(store, "production", f"register {name}", {}, tags) as run:
        run.log_metrics(metrics)
        client = store.client
        client.log_artifacts(run.run_id, str(folder), ARTIFACT)
        with tempfile.TemporaryDirectory() as scratch:
            description = Path(scratch) / "MLmodel"
            _describe(run.run_id, description)
            client.log_artifact(run.run_id, str(description), ARTIFACT)
        version = client.create_model_version(
            name, f"runs:/{run.run_id}/{ARTIFACT}", run_id=run.run_id, tags=tags
        )
    return int(version.version)


def add_file(store: Store, name: str, version: int, path: Path) -> None:
    """Put one more file into the folder of a registered version."""
    run_id = store.client.get_model_version(name, str(version)).run_id
    store.client.log_artifact(run_id, str(path), ARTIFACT)


def aliased_version(store: Store, name: str, alias: str) -> int | None:
    """Return the number of the version that the alias names, or ``None``."""
    from mlflow.exceptions import MlflowException

    try:
        return int(store.client.get_model_version_by_alias(name, alias).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def promote(
    store: Store, version: Mapping[str, Any], alias: str, decision: Mapping[str, Any]
) -> bool:
    """Let ``alias`` name a version; return whether it did not do so before.

    The version is tagged with the time, the version before it and the decision, and a run of the
    production experiment keeps the same for good.

    Args:
        version: content of its ``version.json``.
        decision: content of ``decision.json``.
    """
    name, number = version["registered_model"], version["version"]
    before = aliased_version(store, name, alias)
    if before == number:
        return False
    if before is None and version["previous"] is not None:
        before = version["previous"]["version"]  # the registry is a new one
    facts = {
        "alias": alias,
        "version": str(number),
        "previous_version": "none" if before is None else str(before),
        "promoted_unix_s": str(int(time.time())),
    }
    title = f"{alias}: {name} version {number}"
    tags = {MODEL_TAG: version["model_sha256"]}
    with recorded_run(store, "production", title, facts, tags) as run:
        with tempfile.TemporaryDirectory() as scratch:
            record = Path(scratch) / "decision.json"
            write_json(record, decision)
            run.log_artifact(record)
        for key in ("promoted_unix_s", "previous_version"):
            store.client.set_model_version_tag(name, str(number), key, facts[key])
        store.client.set_model_version_tag(name, str(number), "decision", decision["summary"])
        store.client.set_registered_model_alias(name, alias, str(number))
    return True


def fetch(store: Store, uri: str, folder: Path) -> Path:
    """Fetch a registered model's folder into the existing ``folder``; return where it lies there.

    Args:
        uri: ``models:/DrugBAN@production`` or ``models:/DrugBAN/3``.

    Raises:
        ModelError: the registry knows no such version, or its files are gone.
    """
    from mlflow.exceptions import MlflowException

    parts = MODEL_URI.fullmatch(uri)
    if parts is None:
        raise ModelError(f"{uri!r} is not of the form models:/NAME@alias or models:/NAME/VERSION")
    client = store.client
    try:
        if parts["alias"]:
            found = client.get_model_version_by_alias(parts["name"], parts["alias"])
        else:
            found = client.get_model_version(parts["name"], parts["version"])
        return Path(client.download_artifacts(found.run_id, ARTIFACT, str(folder)))
    except (MlflowException, OSError) as error:
        raise ModelError(
            f"{uri} cannot be fetched from {without_password(store.uri)}: {error}; "
            "take the exported folder models/promoted, or run `dvc repro -f promote`, which "
            "registers what it promotes"
        ) from error


def _require_name(store: Store, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _describe(run_id: str, path: Path) -> None:
    """Write the ``MLmodel`` file: inputs, and the module that loads the folder it stands in."""
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import add_to_model
    from mlflow.types import ColSpec, Schema

    columns = Schema(
        [
            ColSpec("string", "smiles"),
            ColSpec("string", "sequence", required=False),
            ColSpec("string", "target_id", required=False),
        ]
    )
    model = Model(artifact_path=ARTIFACT, run_id=run_id, signature=ModelSignature(columns))
    add_to_model(model, loader_module=LOADER)
    model.save(str(path))
