"""Section ``execution``: limits of a stage's process. It never changes what is computed."""

from __future__ import annotations

from pydantic import Field

from stages.dti.config.base import Seconds, Section


class Timeouts(Section):
    """Seconds per stage; ``default`` for a stage that is not given one."""

    default: Seconds
    acquire: Seconds | None = None
    validate_: Seconds | None = Field(default=None, alias="validate")
    prepare: Seconds | None = None
    split: Seconds | None = None
    featurize: Seconds | None = None
    baselines: Seconds | None = None
    train: Seconds | None = None
    evaluate: Seconds | None = None
    promote: Seconds | None = None
    screen: Seconds | None = None
    report: Seconds | None = None


class ExecutionConfig(Section):
    """How long each stage may last."""

    timeout_s: Timeouts

    def limit_s(self, stage: str) -> float:
        """Return the stage's limit in seconds."""
        limits = self.timeout_s.model_dump(by_alias=True)
        return limits.get(stage) or self.timeout_s.default
