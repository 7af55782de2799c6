"""What each inference worker reports about its model, and what that makes of the service."""

from __future__ import annotations

from collections.abc import MutableMapping, MutableSequence, Sequence
from dataclasses import dataclass
from enum import StrEnum

from serve.schemas import KnownTarget, ModelInfoBody


class State(StrEnum):
    """How far a worker is; the service is as far as its worst worker."""

    FAILED = "failed"
    LOADING = "loading"
    READY = "ready"


@dataclass(frozen=True)
class Status:
    """A state, what it means in words, and, once it is loaded, the model."""

    state: State
    detail: str
    model: ModelInfoBody | None = None


LOADING = Status(State.LOADING, "the model is being loaded and checked; ask again shortly")


class StatusBoard:
    """The statuses of all workers, in a mapping that all processes share.

    Args:
        shared: worker number → Status; a ``multiprocessing`` manager's dict.
        targets: what /model/targets says, set by every worker alike; a manager's list.
    """

    def __init__(
        self, shared: MutableMapping[int, Status], targets: MutableSequence[KnownTarget]
    ) -> None:
        self._shared = shared
        self._targets = targets

    def list_targets(self, targets: Sequence[KnownTarget]) -> None:
        """Set the targets that the model knows."""
        self._targets[:] = targets

    def targets(self) -> list[KnownTarget]:
        """Return the targets that the model knows; none before it is loaded."""
        return list(self._targets[:])

    def report(self, worker: int, status: Status) -> None:
        """Set the status of one worker."""
        self._shared[worker] = status

    def service(self) -> Status:
        """Return the status of the service: that of its worst worker."""
        statuses = list(self._shared.values())
        for state in State:  # worst first
            for status in statuses:
                if status.state is state:
                    return status
        return LOADING
