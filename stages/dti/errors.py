"""The errors that users see. Every message says what is wrong, where, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class DtiError(Exception):
    """Base of every error that is the input's, not the program's: shown without a traceback."""


class ConfigError(DtiError):
    """The configuration names an unknown key, a wrong type or a value out of range."""


class DataError(DtiError):
    """A data file is missing, truncated, altered, or does not hold what it should."""


class LeakageError(DtiError):
    """A split is not what its name claims."""


class ModelError(DtiError):
    """A model folder is missing, incomplete or of another version than the code."""


class DamagedModelError(ModelError):
    """A file of a model folder is missing, truncated, or not what was written."""


class StorageError(DtiError):
    """Nothing can be written there: no space is left, or it is read-only."""


class PromotionError(DtiError):
    """A model may not be promoted; nothing was moved."""


class StageTimeoutError(DtiError):
    """A stage ran past its limit in ``execution.timeout_s``."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest valid name, or list the valid ones."""
    options = sorted(valid)
    close = get_close_matches(name, options, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    listed = ", ".join(options[:20]) + (", …" if len(options) > 20 else "")
    return f"; expected one of {listed}"


class InvalidInputError(DtiError):
    """One drug or target cannot be used; the message is the reason that its row is given."""
