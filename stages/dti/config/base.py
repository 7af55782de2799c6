"""The base of every configuration section, and the readable form of its errors."""

from __future__ import annotations

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, RootModel, ValidationError

from stages.dti.errors import ConfigError, nearest

SectionT = TypeVar("SectionT", bound=BaseModel)


class Section(BaseModel):
    """A typed, frozen part of ``params.yaml``; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def build(kind: type[SectionT], value: Any, where: str) -> SectionT:
    """Turn a plain mapping into a typed section.

    Raises:
        ConfigError: an unknown key (with the nearest valid one), a wrong type, a value out of
            range, or fields that contradict each other.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        lines = [_describe(kind, problem, where) for problem in error.errors()]
        raise ConfigError("invalid configuration:\n  " + "\n  ".join(lines)) from None


def _describe(kind: type[BaseModel], problem: Any, where: str) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join([where, *location])
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key{nearest(location[-1], _fields_at(kind, location[:-1]))}"
    if problem["type"] == "missing":
        return f"{key}: required, but not given"
    if problem["type"] == "value_error":  # our own check across fields; its words are enough
        return f"{key}: {problem['ctx']['error']}"
    return f"{key}: {problem['msg']}, got {problem['input']!r}"


def _fields_at(kind: type[BaseModel], location: list[str]) -> list[str]:
    """Names of the fields at a nested location, which may pass through unions and mappings."""
    kinds = _sections_in(kind)
    for part in location:
        following: list[type[BaseModel]] = []
        for candidate in kinds:
            field = candidate.model_fields.get(part)
            if field is not None:
                following += _sections_in(field.annotation)
            elif _is_tag(candidate, part):
                following.append(candidate)
        kinds = following or kinds  # a mapping's key changes nothing
    return [name for candidate in kinds for name in candidate.model_fields]


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that an annotation speaks of; a root model stands for its root."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _sections_in(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _sections_in(argument)]


def _is_tag(kind: type[BaseModel], part: str) -> bool:
    """Whether ``part`` is the value of ``name`` that tells this section from others of a union."""
    field = kind.model_fields.get("name")
    return field is not None and part in get_args(field.annotation)
