"""Whatever stands in one place of the configuration: it is refused by name, or within bounds."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stages.dti.config.base import constraints, named_fields, sections_in
from stages.dti.config.schema import Configuration, check
from stages.dti.errors import ConfigError
from stages.dti.runtime.compose import compose

ANY_FINITE = {"positive_threshold", "negative_threshold"}
"""Numbers that are only compared with others; each is harmless."""


def numbers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every number, those in lists too."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        if isinstance(part, dict | list):
            yield from numbers(part, (*path, key))
        elif isinstance(part, int | float) and not isinstance(part, bool):
            yield (*path, key)


def composed(*overrides: str) -> dict[str, Any]:
    plain = OmegaConf.to_container(compose(overrides))
    assert isinstance(plain, dict)
    return {str(name): section for name, section in plain.items()}


CONFIGURATIONS = [
    composed(),
    composed("adaptation=cdan", "split=cluster", "split.adapt_fraction=0.5", "features=esm2"),
    composed("model=ensemble_boosted", "trainer=ddp"),
]
PLACES = [(config, path) for config in CONFIGURATIONS for path in numbers(config)]

HOSTILE = st.one_of(
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**30, 1e300, -1e300, 1e-300, math.inf]),
    st.sampled_from([-math.inf, math.nan, True, False, None, "", "3", "1e-3", [], {}, [1, 1]]),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
)


@given(st.sampled_from(PLACES), HOSTILE)
def test_a_hostile_number_is_refused_by_name_or_within_bounds(
    place: tuple[dict[str, Any], tuple[str | int, ...]], value: Any
) -> None:
    config, path = copy.deepcopy(place[0]), place[1]
    inner: Any = config
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    if (message := refusal(config)) is not None:
        assert str([part for part in path if isinstance(part, str)][-1]) in message
        assert "pydantic" not in message
    elif value is None:
        assert path[:2] == ("execution", "timeout_s")  # the default's limit
    else:
        assert type(value) in (int, float)
        assert math.isfinite(value)
        assert abs(value) <= 2**31 or path[-1] in ANY_FINITE


def refusal(config: dict[str, Any]) -> str | None:
    try:
        check(config)
    except ConfigError as error:
        return str(error)
    return None


def fields(kind: type[BaseModel], where: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every field of a section and of those within it."""
    for name, field in named_fields(kind):
        yield f"{where}{name}", field
        for nested in sections_in(field.annotation):
            yield from fields(nested, f"{where}{name}.")


def holds_a_number(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return False
    if annotation in (int, float):
        return True
    return any(holds_a_number(part) for part in get_args(annotation))


@pytest.mark.parametrize(
    ("key", "field"),
    [
        pytest.param(key, field, id=key)
        for key, field in fields(Configuration)
        if holds_a_number(field.annotation) and key.rpartition(".")[2] not in ANY_FINITE
    ],
)
def test_every_number_has_two_bounds(key: str, field: FieldInfo) -> None:
    found = constraints(field)
    assert any(hasattr(m, "ge") or hasattr(m, "gt") for m in found), key
    assert any(hasattr(m, "le") or hasattr(m, "lt") for m in found), key
