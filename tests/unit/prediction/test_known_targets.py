"""Targets are found by id, gene symbol or name; what is ambiguous or unknown says what to do."""

from __future__ import annotations

import pandas as pd
import pytest

from stages.dti.errors import InvalidInputError, nearest
from stages.dti.prediction.known_targets import KnownTargets


def known(rows: list[tuple[str, str | None]]) -> KnownTargets:
    table = pd.DataFrame(rows, columns=["target_id", "target_name"], dtype=object)
    return KnownTargets(table.assign(sequence="MKT", in_train=True, organism=None))


TARGETS = known(
    [
        ("P00533", "EGFR"),
        ("P00519", "ABL1"),
        ("Q1", "Dual Kinase"),
        ("Q2", "dual kinase"),
        ("ABL1", None),  # an id goes before another target's name
        ("P04626~T00", "ERBB2"),
        ("P04626~T01", "ERBB2"),
        ("P3~T02", None),
    ]
)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("P00533", 0),
        ("p00533", 0),
        ("EGFR", 0),
        (" egfr ", 0),
        ("ABL1", 4),
        ("P04626~T01", 6),
        ("p04626~t01", 6),
        ("P3", 7),
    ],
)
def test_found(name: str, row: int) -> None:
    assert TARGETS.find(name) == row
    assert name in TARGETS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Dual kinase", r"names 2 targets of the model; .* meant: 'Q1', 'Q2'"),
        ("P04626", "names 2 targets of the model; .* 'P04626~T00', 'P04626~T01'"),
        ("ERBB2", "names 2 targets"),
        ("abl1", "names 2 targets"),
        ("EGFRR", "knows no target 'EGFRR'; did you mean 'EGFR'.*GET /model/targets.*lists all 8"),
        ("", "knows no target ''"),
    ],
)
def test_not_found(name: str, message: str) -> None:
    assert name not in TARGETS
    with pytest.raises(InvalidInputError, match=message):
        TARGETS.find(name)


def test_many_candidates_are_not_all_listed() -> None:
    many = known([(f"Q{number}", "kinase") for number in range(9)])
    with pytest.raises(InvalidInputError, match="'Q4' and 4 more"):
        many.find("kinase")


def test_nearest_lists_few_and_names_three_of_many() -> None:
    few = ["alpha", "beta", "Gamma"]
    assert nearest("gama", few) == "; did you mean 'Gamma'?"
    assert nearest("BETA", few) == "; did you mean 'beta'?"
    assert nearest("zzzz", few) == "; expected one of Gamma, alpha, beta"
    many = [f"K{number:04d}" for number in range(40)] + ["zz-long-name"]
    assert nearest("zzzzzzzz", many).startswith("; the nearest of 41 are 'zz-long-name', ")
