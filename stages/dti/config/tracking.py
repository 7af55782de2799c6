"""Section ``tracking``: where runs are logged. It never changes what is computed."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from stages.dti.config.base import Section, Text

LOCAL_URI = "sqlite:///mlflow.db"
"""Needs no server; every message about a store that does not work names it."""

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


class TrackingConfig(Section):
    """MLflow; the environment variable MLFLOW_TRACKING_URI takes precedence over ``uri``."""

    uri: Text
    experiment_prefix: str = Field(
        max_length=400, pattern=r"^[^/\\]+$", description="also of the artifacts' folder"
    )
    registered_model: str = Field(
        max_length=250, pattern=r"^[^/:.][^/:]*$", description="MLflow allows no / and no :"
    )
    system_metrics: bool

    @field_validator("uri")
    @classmethod
    def _is_a_store(cls, uri: str) -> str:
        check_uri(uri)
        return uri


def check_uri(uri: str) -> None:
    """Refuse an address that is no tracking store with a model registry, whether or not it answers.

    Raises:
        ValueError: a file path, an unknown kind, or an incomplete address.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme in ("", "file"):
        raise ValueError(
            f"{uri} is a file path, where MLflow has no model registry; use {LOCAL_URI}, "
            "or the http:// address of an MLflow server"
        )
    if scheme not in ("http", "https", *DATABASES):
        raise ValueError(
            f"unknown kind of tracking store {scheme!r}; expected http, https or one "
            f"of {', '.join(DATABASES)}, for example {LOCAL_URI}"
        )
    if scheme == "sqlite":
        path = uri.partition("?")[0].removeprefix("sqlite:///")
        if not uri.startswith("sqlite:///") or path in ("", ":memory:"):
            raise ValueError(f"{uri} names no file; use {LOCAL_URI}")
    if scheme in ("http", "https"):
        try:
            complete = bool(parts.hostname) and parts.port != 0
        except ValueError:  # the port is no number, or above 65535
            complete = False
        if not complete:
            raise ValueError(  # without the address, which may hold a password
                f"the {scheme} address names no server; write http://HOST:PORT, or use {LOCAL_URI}"
            )
