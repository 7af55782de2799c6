"""The LitServe API: what an inference worker does with a batch of requests.

LitServe joins concurrent requests into one call of ``predict``. If a hook raised, every request of
the batch would fail: so no hook raises for what a request holds.
"""

# No `from __future__ import annotations`: LitServe reads the hooks' annotations as they stand.
import logging
import os
import signal
from collections.abc import Sequence
from types import FrameType

import litserve as ls
from litserve.loops.simple_loops import BatchedLoop

from serve.http.schemas import PredictAnswer, PredictRequest
from serve.http.status import LOADING, State, Status, StatusBoard
from serve.inference.source import Source
from serve.telemetry.logs import configure_logging
from stages.dti.config.serve import ServeConfig
from stages.dti.errors import DamagedModelError, DtiError

logger = logging.getLogger(__name__)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


class PredictionAPI(ls.LitAPI):  # type: ignore[misc]  # LitServe has no types
    """Scores requests in a worker process.

    Attributes:
        board: where the worker reports; set by the server before it starts workers.
    """

    board: StatusBoard

    def __init__(self, config: ServeConfig, source: Source, path: str = "/predict") -> None:
        super().__init__(
            max_batch_size=config.max_batch_size,
            batch_timeout=config.batch_timeout_s,
            api_path=path,
            # Named, so that `predict` gets a list even where max_batch_size is 1.
            loop=BatchedLoop(),
        )
        self._config = config
        self._source = source

    def setup(self, device: str) -> None:
        """Load the model and compare it with its golden predictions; report either outcome.

        A model whose files were altered or damaged, or that does not reproduce them, leaves the
        worker alive but never ready, so that /health can say why. Where there is no model, or one
        of another version, the worker ends, and with it the server.
        """
        # The library's imports are heavy; only workers, which are their own processes, need them.
        from serve.inference.golden import check_golden
        from serve.inference.scorer import Scorer

        configure_logging(self._config.log_level)
        # The server decides when workers end, by SIGTERM; an orderly exit frees what they hold.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _end)
        worker = int(os.environ["LITSERVE_WORKER_ID"])
        self._report(worker, LOADING)
        try:
            self._scorer = Scorer.load(self._source)
            verdict = check_golden(self._scorer.predictor, self._source.folder)
        except DamagedModelError as error:
            logger.error("%s", error)
            self._report(worker, Status(State.FAILED, str(error), None))
            return
        except DtiError as error:
            logger.error("%s", error)
            raise SystemExit(1) from None
        if verdict.passed:
            logger.info("%s", verdict.detail)
        else:
            logger.error("%s", verdict.detail)
        model = self._scorer.model_info
        # Before the report, by which /model/targets will know of the version.
        self.board.list_targets(model.version, self._scorer.targets().model_dump_json().encode())
        state = State.READY if verdict.passed else State.FAILED
        self._report(worker, Status(state, verdict.detail, model))

    def decode_request(self, request: PredictRequest) -> PredictRequest:
        """Return the request; its shape has been checked, its chemistry is the rows' matter."""
        return request

    def predict(self, requests: Sequence[PredictRequest]) -> list[PredictAnswer | None]:
        """Return one answer per request; ``None`` where the program failed, which is logged."""
        try:
            return list(self._scorer.answer(requests))
        except Exception:
            logger.exception("%d joined requests failed; trying each alone", len(requests))
        answers: list[PredictAnswer | None] = []
        for request in requests:
            try:
                answers += self._scorer.answer([request])
            except Exception:
                logger.exception("a request of %d pairs failed", len(request.pairs))
                answers.append(None)
        return answers

    def encode_response(self, output: PredictAnswer | None) -> PredictAnswer | None:
        """Return the answer; the HTTP process turns it into JSON."""
        return output

    def _report(self, worker: int, status: Status) -> None:
        self.board.report(self.api_path, worker, status)
