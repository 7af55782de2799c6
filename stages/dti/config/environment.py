"""Section ``environment``: what promotion may do in dev, staging and prod."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from stages.dti.config.base import Section


class EnvironmentConfig(Section):
    """The environment that a run belongs to."""

    name: Literal["dev", "staging", "prod"]
    alias: str = Field(
        pattern=r"^[A-Za-z0-9_-]+$",
        max_length=255,
        description="the registry alias that promotion moves; not latest, v1, v2, …: MLflow's own",
    )
    promotion: Literal["automatic", "refuse"] = Field(
        description="automatic: the gate alone decides whether `make promote` may promote; "
        "refuse: the gate is evaluated and recorded, but nothing is promoted"
    )

    @field_validator("alias")
    @classmethod
    def _is_free(cls, alias: str) -> str:
        if alias == "latest" or re.fullmatch(r"[vV]\d+", alias):
            raise ValueError(f"{alias!r} is MLflow's own; use production, staging or another name")
        return alias
