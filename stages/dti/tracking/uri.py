"""Where runs are logged: which addresses of a tracking store work, and why the others do not."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from stages.dti.config.tracking import LOCAL_URI, TrackingConfig, check_uri
from stages.dti.errors import DtiError
from stages.dti.paths import ROOT

URI_VARIABLE = "MLFLOW_TRACKING_URI"
CONNECT_TIMEOUT_S = 5


def tracking_uri(tracking: TrackingConfig) -> str:
    """Return where runs are logged: the environment variable MLFLOW_TRACKING_URI, else the section.

    A relative SQLite path in the section is below the repository, whatever the working directory;
    below the *main* repository when DVC runs a queued experiment in a temporary copy, which it
    deletes afterwards.

    Raises:
        DtiError: the variable's URI is a file path (no model registry there) or of an unknown kind.
    """
    given = os.environ.get(URI_VARIABLE)
    uri = given or tracking.uri
    try:
        check_uri(uri)
    except ValueError as error:
        raise DtiError(f"{URI_VARIABLE}: {error}") from None  # the section was checked before
    if uri.startswith("http"):
        return uri.rstrip("/")
    if not uri.startswith("sqlite"):
        return uri
    location, _, query = uri.partition("?")
    base = Path.cwd() if given else _repository_of(ROOT)
    absolute = (base / location.removeprefix("sqlite:///")).resolve()
    return f"sqlite:///{absolute}" + (f"?{query}" if query else "")


def is_experiment_copy(root: Path) -> bool:
    """Return whether ``root`` is a temporary copy in which DVC runs a queued experiment."""
    return _repository_of(root) != root


def _repository_of(root: Path) -> Path:
    """Return ``root``, or the repository that DVC copied there to run a queued experiment."""
    for folder in root.parents:
        if folder.name == "exps" and folder.parent.name == "tmp":
            dvc = folder.parent.parent
            if dvc.name == ".dvc":
                return dvc.parent
    return root


@contextmanager
def one_at_a_time(uri: str) -> Iterator[None]:
    """Hold a lock beside a SQLite file: two processes that make its tables at once both fail."""
    if not uri.startswith("sqlite:"):
        yield
        return
    database = sqlite_path(uri)
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sqlite_path(uri: str) -> Path:
    """Return the file that an absolute ``sqlite:///`` URI names."""
    return Path(uri.partition("?")[0].removeprefix("sqlite:///"))


def require_listener(uri: str) -> None:
    """Raise DtiError unless something accepts connections at an http address."""
    address = urlsplit(uri)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise unusable(uri, str(error)) from error


def unusable(uri: str, reason: str) -> DtiError:
    """Return the error that says why a store cannot be used, and names one that can."""
    begin = f"the MLflow tracking store {without_password(uri)} cannot be used: {reason}; "
    if "database is locked" in reason:
        return DtiError(
            f"{begin}another process is writing to it, or was stopped while it did: wait until it "
            f"has finished and run this again, or find it with `fuser {sqlite_path(uri)}` and end "
            "it; nothing has to be repaired"
        )
    return DtiError(
        f"{begin}start or repair it, or set {URI_VARIABLE}={LOCAL_URI}, which needs no server"
    )


def without_password(uri: str) -> str:
    """Return an address as a message may show it."""
    password = urlsplit(uri).password
    return uri.replace(f":{password}@", ":***@") if password else uri
