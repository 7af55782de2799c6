"""What long work says in the log: how much of it is done and how long the rest will take."""

from __future__ import annotations

import logging
from time import monotonic

FIRST_S = 5.0
"""Work that ends before says nothing."""

EACH_S = 1.0
"""For epochs and chunks: a line for each of them, unless they end in a moment."""

WITHIN_S = 60.0
"""For what a line of its own is due of only when it takes very long, as within an epoch."""

GROWTH = 0.1
"""The pause between two lines grows with the time that has passed, so that a log of hours stays
readable: about twenty lines in the first minute, as many again for each tenfold."""

logger = logging.getLogger(__name__)


class ProgressLog:
    """Logs lines such as ``drugs: 640 of 2,628, about 40 s left``.

    Args:
        what: names the work.
        total: how much there is to do; ``None``: unknown.
        done: how much of it a run before had done.
        every_s: at least so long between two lines; ``None``: the pause grows.
    """

    def __init__(
        self, what: str, total: int | None, *, done: int = 0, every_s: float | None = None
    ) -> None:
        self._what, self._total = what, total
        self._done = self._done_before = done
        self._every_s = every_s
        self._started = self._last = monotonic()
        self._spoke = False

    def advance(self, count: int = 1, words: str = "") -> None:
        """Count work as done, and log it with ``words`` if a line is due."""
        self._done += count
        now = monotonic()
        elapsed = now - self._started
        pause = max(FIRST_S, GROWTH * elapsed) if self._every_s is None else self._every_s
        ended = self._done == self._total
        if now - self._last < pause and not (ended and self._spoke):
            return
        self._last, self._spoke = now, True
        of = "" if self._total is None else f" of {self._total:,}"
        parts = [f"{self._what}: {self._done:,}{of}", *filter(None, [words])]
        if ended:
            parts.append(f"done in {duration(elapsed)}")
        elif self._total is not None and self._done > self._done_before:
            rest = (self._total - self._done) * elapsed / (self._done - self._done_before)
            parts.append(f"about {duration(rest)} left")
        logger.info("%s", ", ".join(parts))


def duration(seconds: float) -> str:
    """Return ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
