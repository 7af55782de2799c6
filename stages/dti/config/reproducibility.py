"""Section ``reproducibility``: what two runs must share to fit the same model, bit for bit.

Apart from ``trainer``, since the baselines read it too and shall not be fitted anew whenever a
setting of the trainer changes.
"""

from __future__ import annotations

from pydantic import Field

from stages.dti.config.base import Section, Seed, Threads


class ReproducibilityConfig(Section):
    """What is common to every model's fit."""

    seed: Seed
    threads: Threads = Field(description="fixed, since the order of a sum depends on it")
