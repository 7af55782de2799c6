"""Section ``acquire``: how files are fetched."""

from __future__ import annotations

from pydantic import Field

from stages.dti.config.base import Seconds, Section


class AcquireConfig(Section):
    """Limits of one download."""

    timeout_s: Seconds = Field(description="longest silence of the server, not of the whole")
    attempts: int = Field(ge=1, le=20)
    retry_wait_s: float = Field(ge=0, le=3600, description="first wait; doubled after each attempt")
