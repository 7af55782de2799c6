"""Section ``environment``: what promotion may do in dev, staging and prod."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.dti.config.base import Section


class EnvironmentConfig(Section):
    """The environment that a run belongs to."""

    name: Literal["dev", "staging", "prod"]
    alias: str = Field(min_length=1, description="the registry alias that promotion moves")
    promotion: Literal["automatic", "refuse"] = Field(
        description="automatic: the gate alone decides whether `make promote` may promote; "
        "refuse: the gate is evaluated and recorded, but nothing is promoted"
    )
