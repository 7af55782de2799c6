"""The model registry (MLflow): versions, aliases, and the record of every promotion.

The registered name is the task's; which model a version is, its tag ``model`` says. A version is
found by the tag ``model_sha256``, so that registering the same model twice gives the same version.
An alias (``production``, ``staging``, ``challenger``) names the version in that role. Each
promotion is a run of the production experiment: what was in production when, and by which
decision, stays on record even when a version is promoted a second time.
"""

from __future__ import annotations

import logging
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.dti.artifacts.export import Export
from stages.dti.errors import DamagedModelError, ModelError
from stages.dti.files import write_json
from stages.dti.tracking.runs import recorded_run
from stages.dti.tracking.store import MODEL_TAG, Store, find_training_run
from stages.dti.tracking.uri import without_password

ARTIFACT = "model"
"""The folder of a run that holds the registered model."""

logger = logging.getLogger(__name__)

SCHEME = "models:/"
MODEL_URI = re.compile(rf"{SCHEME}(?P<name>[^/@]+)(@(?P<alias>[^/@]+)|/(?P<version>\d+))")

LOADER = "stages.dti.prediction.pyfunc"


@dataclass(frozen=True)
class Registered:
    """A version of a registered model, and its files.

    Attributes:
        name: of the registered model.
        version: its number.
        export: its files, whose hash is the registered one.
    """

    name: str
    version: int
    export: Export

    @property
    def uri(self) -> str:
        """What names this version for good."""
        return f"{SCHEME}{self.name}/{self.version}"


def find_version(store: Store, name: str, model_sha256: str) -> int | None:
    """Return the number of the version that holds this model, the newest if there are several."""
    found = store.client.search_model_versions(
        f"name = '{name}' and tags.{MODEL_TAG} = '{model_sha256}'"
    )
    return max((int(version.version) for version in found), default=None)


def register(
    store: Store, name: str, model: str, export: Export, metrics: Mapping[str, Any]
) -> int:
    """Return the version that holds the exported model; register it if there is none.

    The folder becomes an artefact of a run in the production experiment, beside an ``MLmodel``
    file by which MLflow loads it through the Predictor.

    Args:
        name: of the registered model.
        model: which model it is, such as ``drugban``.
        metrics: test metrics, logged with the run.
    """
    existing = find_version(store, name, export.model_sha256)
    if existing is not None:
        return existing
    _require_name(store, name)
    tags = {MODEL_TAG: export.model_sha256, "model": model}
    trained = find_training_run(store, export.model_sha256)
    if trained is not None:
        tags["training_run_id"] = trained
    with recorded_run(store, "production", f"register {name}", {}, tags) as run:
        run.log_metrics(metrics)
        client = store.client
        client.log_artifacts(run.run_id, str(export.folder), ARTIFACT)
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


def set_alias(store: Store, name: str, alias: str, version: int) -> bool:
    """Let ``alias`` name a version; return whether it did not do so before."""
    if aliased_version(store, name, alias) == version:
        return False
    store.client.set_registered_model_alias(name, alias, str(version))
    return True


def promote(
    store: Store,
    name: str,
    version: int,
    alias: str,
    decision: Mapping[str, Any],
    previous_version: int | None,
) -> bool:
    """Let ``alias`` name a version, on record; return whether it did not do so before.

    The version is tagged with the time, the version before it and the decision, and a run of the
    production experiment keeps the same for good.

    Args:
        decision: content of ``decision.json``, or at least its ``summary``.
        previous_version: the version before it, where the alias names none: in a new registry.
    """
    before = aliased_version(store, name, alias)
    if before == version:
        return False
    before = previous_version if before is None else before
    facts = {
        "alias": alias,
        "version": str(version),
        "previous_version": "none" if before is None else str(before),
        "promoted_unix_s": str(int(time.time())),
    }
    known = store.client.get_model_version(name, str(version)).tags
    tags = {tag: known[tag] for tag in (MODEL_TAG, "model")}
    title = f"{alias}: {name} version {version}"
    with recorded_run(store, "production", title, facts, tags) as run:
        with tempfile.TemporaryDirectory() as scratch:
            record = Path(scratch) / "decision.json"
            write_json(record, decision)
            run.log_artifact(record)
        for key in ("promoted_unix_s", "previous_version"):
            store.client.set_model_version_tag(name, str(version), key, facts[key])
        store.client.set_model_version_tag(name, str(version), "decision", decision["summary"])
        store.client.set_registered_model_alias(name, alias, str(version))
    return True


def fetch(store: Store, uri: str, folder: Path) -> Registered:
    """Fetch a registered model's folder into the existing ``folder``.

    Args:
        uri: such as ``models:/drug_target_interaction@production`` or ``models:/NAME/3``.

    Raises:
        ModelError: the registry knows no such version, its files are gone, or are not those that
            were registered.
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
        fetched = Path(client.download_artifacts(found.run_id, ARTIFACT, str(folder)))
    except (MlflowException, OSError) as error:
        raise ModelError(
            f"{uri} cannot be fetched from {without_password(store.uri)}: {error}; "
            "take the exported folder models/promoted, or run `make promote`, which registers "
            "the committed model and names it"
        ) from error
    try:
        export = Export.find(fetched)
        if export is None or export.model_sha256 != found.tags.get(MODEL_TAG):
            raise DamagedModelError(f"{fetched} is not the model that the version's tag names")
    except DamagedModelError as error:
        raise ModelError(
            f"the files of {uri} in {without_password(store.uri)} are not those that were "
            "registered: their hash is another; delete the version and run `make promote` in the "
            "commit that it was made from"
        ) from error
    return Registered(parts["name"], int(found.version), export)


def fetch_by_hash(store: Store, name: str, model_sha256: str, folder: Path) -> Export | None:
    """Fetch the version that holds a model, where there is one whose files are its own."""
    version = find_version(store, name, model_sha256)
    if version is None:
        return None
    try:
        return fetch(store, f"models:/{name}/{version}", folder).export
    except ModelError as error:
        logger.warning("%s", error)
        return None


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
