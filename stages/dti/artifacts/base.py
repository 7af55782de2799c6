"""The base of every artefact's schema: read and written in one place, refused in words.

A schema says what one JSON file holds. Its writer makes it and its readers get it, so that a file
of another version of the code, or one that was edited, is refused by name and key when it is read.
Whatever stands in a file stood in the object: a key with a default is optional, and is written only
where it was given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stages.dti.config.base import describe
from stages.dti.errors import DataError, DtiError
from stages.dti.files import json_text, read_json, write_text

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = int | float
"""As it was written: a whole number stays one."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Artifact(BaseModel):
    """A JSON object that crosses stages, or a part of one; typed and frozen.

    An unknown key is an error, and nothing is coerced but a whole number to a float.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    refused_as: ClassVar[type[DtiError]] = DataError
    remedy: ClassVar[str] = "run `dvc repro`, which writes it anew, or restore it"
    """What to do about a file that does not hold what the schema says."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that ``write`` wrote.

        Raises:
            DataError: it is missing, is no JSON object, or does not hold what the schema says.
        """
        return cls.parse(read_json(path), path)

    @classmethod
    def parse(cls, content: dict[str, Any], path: Path) -> Self:
        """Return the artefact that a JSON object is.

        Args:
            path: where it stands, for the message.

        Raises:
            DtiError: it does not hold what the schema says; the class is ``refused_as``.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            problems = "\n  ".join(describe(error, cls, ""))
            raise cls.refused_as(
                f"{path} does not hold what this version of the code writes:\n  {problems}\n"
                f"{cls.remedy}"
            ) from None

    def write(self, path: Path) -> None:
        """Write the artefact, whole or not at all; equal artefacts give equal bytes.

        Raises:
            StorageError: no space, or no right to write there.
        """
        write_text(path, self.text())

    def text(self) -> str:
        """Return what ``write`` writes."""
        return json_text(self.plain())

    def given(self) -> dict[str, Any]:
        """Return the fields that were given, as they are: to make another artefact of them."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def plain(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self.model_dump(mode="json", exclude_unset=True)
