"""Section ``serve``: the HTTP service. No stage reads it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from stages.dti.config.base import Seconds, Section, Text


class ServeConfig(Section):
    """Parameters of ``python -m serve``.

    The environment variables MODEL_PATH, HOST, PORT and LOG_LEVEL win over ``model_path``,
    ``host``, ``port`` and ``log_level``.
    """

    model_path: Text = Field(
        description="a model folder, relative to the repository, or models:/NAME@alias in MLflow",
    )
    host: Literal["127.0.0.1", "0.0.0.0", "::"] = Field(
        description="127.0.0.1: this machine only; 0.0.0.0 or ::: every interface"
    )
    port: int = Field(ge=1024, le=65535)
    workers: int = Field(ge=1, le=256, description="processes that each hold the model")
    max_batch_size: int = Field(ge=1, le=65_536, description="requests joined into one model call")
    batch_timeout_s: Seconds = Field(
        description="the longest that a request waits for others to join it"
    )
    request_timeout_s: Seconds = Field(
        description="from a request's arrival to its answer, the queue included"
    )
    max_payload_bytes: int = Field(
        ge=1024, le=1_073_741_824, description="a larger body is refused (413)"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]

    @model_validator(mode="after")
    def _batch_fits_request(self) -> Self:
        if self.batch_timeout_s >= self.request_timeout_s:
            raise ValueError("batch_timeout_s must be below request_timeout_s")
        return self
