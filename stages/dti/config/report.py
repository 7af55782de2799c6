"""Section ``report``: the pages."""

from __future__ import annotations

from pydantic import Field

from stages.dti.config.base import Section, Text


class ReportConfig(Section):
    """Parameters of the ``report`` stage."""

    title: Text
    screening_targets: int = Field(ge=1, le=1000, description="targets shown on the page")
    screening_drugs: int = Field(ge=1, le=1000, description="drugs shown per target")
