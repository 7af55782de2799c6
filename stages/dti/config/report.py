"""Section ``report``: the one HTML file."""

from __future__ import annotations

from stages.dti.config.base import Section, Text


class ReportConfig(Section):
    """Parameters of the ``report`` stage."""

    title: Text
