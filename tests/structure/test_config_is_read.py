"""A key of conf/ that nothing reads changes nothing, whatever it says: there is none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

import pytest
from pydantic import BaseModel, Field, RootModel

from stages.dti.config.dataset import Columns
from stages.dti.config.execution import Timeouts
from stages.dti.config.schema import Configuration

REPOSITORY = Path(__file__).resolve().parents[2]

BY_NAME: dict[type[BaseModel], str] = {
    Columns: "data/sources/formats.py reads the columns by the names of the records' fields",
    Configuration: "a stage reads the sections that its signature names",
    Timeouts: "ExecutionConfig.limit_s reads the limit by the stage's name",
}
"""Classes whose fields are read by a name that is a value, with who reads them."""


def classes(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield the class and every class that its fields hold, members of unions too."""
    yield kind
    waiting = [field.annotation for field in kind.model_fields.values()]
    while waiting:
        part = waiting.pop()
        waiting += get_args(part)
        if isinstance(part, type) and issubclass(part, BaseModel):
            yield from classes(part)


def attributes_read(source: str) -> set[str]:
    """Return the names that stand after a dot, but for an object's own and for methods called."""
    tree = ast.parse(source)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and id(node) not in called
        and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    }


def unread(kind: type[BaseModel], read: set[str]) -> set[str]:
    """Return the fields, as ``Class.field``, whose name nobody reads."""
    return {
        f"{part.__name__}.{field}"
        for part in classes(kind)
        if part not in BY_NAME and not issubclass(part, RootModel)
        for field in part.model_fields
        if field not in read
    }


def test_every_key_is_read_outside_the_configuration() -> None:
    """Validation alone is no use: what a check compares must matter to somebody."""
    read: set[str] = set()
    for folder in ("stages", "serve"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            if "config" not in path.parts:
                read |= attributes_read(path.read_text(encoding="utf-8"))
    # The keys that choose what a stage depends on.
    read |= set(re.findall(r"\$\{[\w.]+\.(\w+)\}", (REPOSITORY / "dvc.yaml").read_text()))
    assert unread(Configuration, read) == set()


class Warm(BaseModel):
    name: Literal["warm"]
    degrees: float


class Cold(BaseModel):
    name: Literal["cold"]
    depth_m: float


class Weather(BaseModel):
    today: Warm | Cold = Field(discriminator="name")
    week: dict[str, Warm]
    title: str


READER = """
def say(weather):
    if weather.today.name == "warm":
        return weather.today.degrees, weather.today.depth_m, [day for day in weather.week]
    return weather.title
"""


@pytest.mark.parametrize(
    ("present", "changed", "found"),
    [
        ("weather.title", "weather.title()", "Weather.title"),
        ("weather.title", "self.title", "Weather.title"),
        ("weather.title", "None", "Weather.title"),
        (", weather.today.depth_m", "", "Cold.depth_m"),
        ("weather.today.degrees", "1", "Warm.degrees"),
    ],
)
def test_a_field_that_nobody_reads_is_found(present: str, changed: str, found: str) -> None:
    assert unread(Weather, attributes_read(READER)) == set()
    assert unread(Weather, attributes_read(READER.replace(present, changed))) == {found}
