"""Section ``execution``: limits of a stage's process. It never changes what is computed."""

from __future__ import annotations

from pydantic import Field

from stages.dti.config.base import Section


class ExecutionConfig(Section):
    """``timeout_s``: seconds per stage name; ``default`` for the others."""

    timeout_s: dict[str, float] = Field(min_length=1)

    def limit_s(self, stage: str) -> float:
        """Return the stage's limit in seconds."""
        return self.timeout_s.get(stage, self.timeout_s["default"])
