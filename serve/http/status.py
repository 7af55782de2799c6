"""What each inference worker reports about its model, and what that makes of the service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import StrEnum

from serve.http.schemas import ModelInfoBody

logger = logging.getLogger(__name__)

REFRESH_S = 0.1
"""How long ago a report may have been made that the HTTP process does not know."""


class State(StrEnum):
    """How far a worker is; an API is as far as its worst worker, the service as its worst API."""

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


@dataclass(frozen=True)
class Snapshot:
    """What the workers of all APIs had reported at one time.

    Attributes:
        workers: (API's path, worker number) → its status.
        targets: model version → what /model/targets says of it, as JSON.
    """

    workers: Mapping[tuple[str, int], Status] = field(default_factory=dict)
    targets: Mapping[str, bytes] = field(default_factory=dict)

    def service(self) -> Status:
        """Return the status of the service."""
        return _worst(list(self.workers.values()))

    def api(self, path: str) -> Status:
        """Return the status of the API that answers at ``path``."""
        return _worst([status for (own, _), status in self.workers.items() if own == path])

    def versions(self, path: str) -> set[str]:
        """Return the versions of the models that the workers of an API hold; several, while they
        change from one to another.
        """
        return {
            status.model.version
            for (own, _), status in self.workers.items()
            if own == path and status.model is not None
        }


def _worst(statuses: list[Status]) -> Status:
    for state in State:  # worst first
        for status in statuses:
            if status.state is state:
                return status
    return LOADING


class StatusBoard:
    """The reports of all workers, in mappings that all processes share.

    To write or to read it is a round trip to the manager process. So the HTTP process never reads
    it while it answers a request: it asks its ``BoardView``.

    Args:
        workers, targets: as in ``Snapshot``; a ``multiprocessing`` manager's dicts.
    """

    def __init__(
        self,
        workers: MutableMapping[tuple[str, int], Status],
        targets: MutableMapping[str, bytes],
    ) -> None:
        self._workers = workers
        self._targets = targets

    def report(self, api: str, worker: int, status: Status) -> None:
        """Set the status of one worker of the API at path ``api``."""
        self._workers[api, worker] = status

    def list_targets(self, version: str, targets: bytes) -> None:
        """Set what /model/targets says of a model, as JSON."""
        self._targets[version] = targets

    def read(self, known: Snapshot | None = None) -> Snapshot:
        """Return what has been reported.

        Args:
            known: an earlier snapshot, whose lists of targets are not fetched again.
        """
        targets = dict(known.targets) if known else {}
        workers = dict(self._workers.items())
        for version in set(self._targets.keys()) - set(targets):
            targets[version] = self._targets[version]
        return Snapshot(workers, targets)


class BoardView:
    """The board as the HTTP process sees it: a snapshot that is at hand, renewed in a thread.

    Attributes:
        latest: the newest snapshot; before the first one, every API is loading.
    """

    def __init__(self) -> None:
        self.latest = Snapshot()

    async def follow(self, board: StatusBoard) -> None:
        """Renew ``latest`` until the task is cancelled, or the board is gone with its process."""
        while True:
            try:
                self.latest = await asyncio.to_thread(board.read, self.latest)
            except (EOFError, OSError) as error:
                # The server's parent process notices as well, and ends this one.
                detail = f"the manager process ended unexpectedly ({type(error).__name__})"
                logger.error("%s", detail)
                failed = Status(State.FAILED, detail)
                self.latest = Snapshot(dict.fromkeys(self.latest.workers or [("", 0)], failed))
                return
            await asyncio.sleep(REFRESH_S)
