"""The base of every configuration section, and the readable form of its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints, ValidationError
from pydantic.fields import FieldInfo

from stages.dti.errors import ConfigError, nearest

SectionT = TypeVar("SectionT", bound=BaseModel)

MAX_SEED = 2**31 - 101
"""LightGBM's seeds are 32-bit with a sign, and an ensemble adds up to 100 to
``reproducibility.seed``."""

MAX_THREADS = 256
"""More than a machine has is slow; a hundred thousand end the process."""

Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Threads = Annotated[int, Field(ge=1, le=MAX_THREADS)]
Seconds = Annotated[float, Field(ge=0.001, le=31_536_000)]
"""A shorter limit would be none: timers of processes take microseconds, and 0 turns them off."""
Fraction = Annotated[float, Field(ge=0, le=1)]
LearningRate = Annotated[float, Field(ge=1e-8, lt=1)]
Dropout = Annotated[float, Field(ge=0, le=0.95)]
Width = Annotated[int, Field(ge=1, le=16_384)]
"""Numbers in one layer of a network, or in one vector."""
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]
"""Becomes part of a path."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class Section(BaseModel):
    """A typed, frozen part of ``params.yaml``.

    An unknown key is an error, and nothing is coerced but a whole number to a float: ``true`` is
    no 1, and ``"3"`` no 3.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def build(kind: type[SectionT], value: Any, where: str) -> SectionT:
    """Turn a plain mapping into a typed section.

    Raises:
        ConfigError: an unknown key (with the nearest valid one), a wrong type, a value out of
            range, or fields that contradict each other.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise invalid(describe(error, kind, where)) from None


def invalid(problems: list[str]) -> ConfigError:
    """Return the error that tells of every problem, one a line."""
    return ConfigError("invalid configuration:\n  " + "\n  ".join(problems))


def describe(error: ValidationError, kind: type[BaseModel], where: str) -> list[str]:
    """Return a line for each problem: the key, what was expected, what was given."""
    return list(dict.fromkeys(_describe(kind, problem, where) for problem in error.errors()))


def shown(value: Any) -> str:
    """Return a value as a message shows it: on one line, and not all of a long one."""
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _describe(kind: type[BaseModel], problem: Any, where: str) -> str:
    location = [str(part) for part in problem["loc"]]
    parents, names, tagged = _walk(kind, location)
    key = ".".join(filter(None, [where, *names]))
    given, context = shown(problem["input"]), problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            valid = [name for parent in parents for name in field_names(parent)]
            return f"{key}: unknown key{nearest(names[-1], valid)}"
        case "missing":
            return f"{key}: required, but not given"
        case "value_error":  # our own check across fields; its words are enough
            return f"{key}: {context['error']}"
        case "literal_error" | "union_tag_invalid":
            options = re.findall(
                r"'([^']*)'", context.get("expected", context.get("expected_tags"))
            )
            value = context.get("tag", problem["input"])
            key += ".name" if "tag" in context else ""
            close = nearest(value, options) if isinstance(value, str) else ""
            hint = close if "did you mean" in close else ""
            return f"{key}: must be one of {', '.join(options)}, got {shown(value)}{hint}"
        case "union_tag_not_found":
            return f"{key}: needs a key 'name' that says which kind it is, got {given}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{key}: must be {' and '.join(_limits(tagged, context))}, got {given}"
        case "too_short" | "too_long" | "string_too_short" | "string_too_long":
            bound = "at least" if problem["type"].endswith("short") else "at most"
            length = context.get("min_length", context.get("max_length"))
            unit = "characters" if problem["type"].startswith("string") else "entries"
            return f"{key}: must have {bound} {length} {unit}, got {given}"
    wanted = _WANTED.get(problem["type"])
    if wanted is None:
        return f"{key}: {problem['msg']}, got {given}"
    quoted = isinstance(problem["input"], str) and wanted != _WANTED["string_type"]
    hint = "; write it without quotes" if quoted and _is_number(problem["input"]) else ""
    return f"{key}: must be {wanted}, got {given}{hint}"


_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _limits(metadata: list[Any], broken: dict[str, Any]) -> Iterator[str]:
    """Yield both ends of the range whose one end was broken."""
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    known = {name: getattr(m, name) for m in metadata for name in words if hasattr(m, name)}
    for name, value in (known | broken).items():
        yield f"{words[name]} {value}"


def _walk(
    kind: type[BaseModel], location: list[str]
) -> tuple[list[type[BaseModel]], list[str], list[Any]]:
    """Follow a nested location, which may pass through unions, mappings and lists.

    Returns:
        The sections that hold its last key; the keys that a user wrote, without the names that
        pydantic adds for the members of unions; and the constraints of the last field met.
    """
    kinds, parents, names, found = sections_in(kind), sections_in(kind), [], []
    for part in location:
        fields = [field for k in kinds for n, field in named_fields(k) if n == part]
        if fields:
            parents, found = kinds, [m for field in fields for m in constraints(field)]
            kinds = [k for field in fields for k in sections_in(field.annotation)]
        elif any(_is_tag(candidate, part) for candidate in kinds):
            kinds = [candidate for candidate in kinds if _is_tag(candidate, part)]
            continue
        elif re.fullmatch(r"(constrained-)?str|list\[.*\]", part):  # a member of a plain union
            continue
        else:
            parents = kinds  # of a mapping or list, whose keys change nothing; or an unknown key
        names.append(part)
    return parents, names, found


def named_fields(kind: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    """Return a section's fields by the names that the configuration has for them."""
    return [(field.alias or name, field) for name, field in kind.model_fields.items()]


def field_names(kind: type[BaseModel]) -> list[str]:
    """Return the keys of a section."""
    return [name for name, _ in named_fields(kind)]


def constraints(field: Any) -> list[Any]:
    """Return what is asked of a field's value, and of the entries that it holds."""
    if isinstance(field, FieldInfo):
        return [*field.metadata, *constraints(field.annotation)]
    nested = [found for argument in get_args(field) for found in constraints(argument)]
    return [*getattr(field, "__metadata__", ()), *nested]


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that an annotation speaks of; a root model stands for its root."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return sections_in(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in sections_in(argument)]


def _is_tag(kind: type[BaseModel], part: str) -> bool:
    """Whether ``part`` is the value of ``name`` that tells this section from others of a union."""
    field = kind.model_fields.get("name")
    return field is not None and part in get_args(field.annotation)
