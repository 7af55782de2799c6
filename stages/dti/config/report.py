"""Section ``report``: the one HTML file."""

from __future__ import annotations

from pydantic import Field

from stages.dti.config.base import Section


class ReportConfig(Section):
    """Parameters of the ``report`` stage."""

    title: str = Field(min_length=1)
