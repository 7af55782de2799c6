"""Section ``prepare``: how duplicates are merged."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.dti.config.base import Section


class PrepareConfig(Section):
    """Rules for rows that hold the same canonical SMILES and sequence, and become one pair."""

    on_affinity_conflict: Literal["median", "strongest"] = Field(
        description="the affinity that the rows of one source have together"
    )
    on_label_conflict: Literal["majority", "reject"] = Field(
        description="given labels, or sources, disagree: the label of more rows (a tie is refused),"
        " or refuse the pair"
    )
