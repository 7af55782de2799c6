"""The HTTP endpoints."""

# No `from __future__ import annotations`: FastAPI reads the endpoints' annotations, which name
# what is local to the functions below.
import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import Response

from serve.http.errors import json_answer
from serve.http.schemas import (
    ErrorBody,
    HealthBody,
    KnownTargets,
    ModelInfoBody,
    PredictAnswer,
    PredictionRows,
    PredictRequest,
    request_examples,
)
from serve.http.status import BoardView, State
from stages.dti.config.serve import ServeConfig

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "The body is not UTF-8 text."},
    413: {"model": ErrorBody, "description": "The body is larger than the server takes."},
    422: {"model": ErrorBody, "description": "The body is not JSON of the form described here."},
    500: {"model": ErrorBody, "description": "The program failed; the server's log says how."},
    503: {"model": ErrorBody, "description": "Not ready: /health says why."},
    504: {"model": ErrorBody, "description": "No answer within the server's time limit."},
}

LOADING_ERROR: dict[int | str, dict[str, Any]] = {
    503: {"model": ErrorBody, "description": "The model is being loaded."}
}

Submit = Callable[[PredictRequest], Awaitable[PredictAnswer | None]]


def add_prediction(
    app: FastAPI, path: str, config: ServeConfig, board: BoardView, submit: Submit
) -> None:
    """Add the endpoint of one API.

    Args:
        path: where it answers; it has its own workers on the ``board``.
        submit: hands a request to one of them and waits for its answer.
    """
    name = path.strip("/").replace("/", "_")

    @app.post(path, operation_id=name, responses=ERRORS, tags=["prediction"])
    async def predict(
        request: Request,
        body: Annotated[PredictRequest, Body(openapi_examples=request_examples())],
    ) -> PredictAnswer:
        """Predict whether drugs and targets interact.

        Send one pair and get its row, or several as `pairs` and get their rows in order. A pair
        that cannot be scored gives a row with `status` "invalid" and a `reason`; the others are
        not affected by it.
        """
        status = board.latest.api(path)
        if status.state is not State.READY:
            raise HTTPException(503, f"the service is not ready: {status.detail}")
        try:
            async with asyncio.timeout(config.request_timeout_s):
                answer = await submit(body)
        except TimeoutError:
            raise HTTPException(
                504,
                f"no answer within {config.request_timeout_s:g} s; send fewer pairs at a time, "
                "or ask again when the service is less busy",
            ) from None
        if answer is None:
            raise HTTPException(500, "the program failed; the server's log says how")
        rows = answer.predictions if isinstance(answer, PredictionRows) else [answer]
        invalid = sum(row.status == "invalid" for row in rows)
        request.state.remark = f" pairs={len(rows)} invalid={invalid}"
        return answer


def add_health(app: FastAPI, board: BoardView) -> None:
    """Add /health, for all APIs together."""

    @app.get(
        "/health",
        operation_id="health",
        tags=["service"],
        responses={503: {"model": HealthBody, "description": "Loading, or failed its check."}},
        response_model=HealthBody,
    )
    async def health() -> Any:
        """Tell whether the model is loaded and reproduces its golden predictions."""
        status = board.latest.service()
        model = status.model
        answer = HealthBody(
            status=status.state.value,
            detail=status.detail,
            model_name=model.name if model else None,
            model_version=model.version if model else None,
        )
        return json_answer(200 if status.state is State.READY else 503, answer)


def add_model(app: FastAPI, path: str, board: BoardView) -> None:
    """Add /model/info and /model/targets, which tell of the model of the API at ``path``."""

    def model() -> ModelInfoBody:
        status = board.latest.api(path)
        if status.model is None:
            raise HTTPException(503, f"the service is not ready: {status.detail}")
        return status.model

    @app.get("/model/info", operation_id="model_info", tags=["service"], responses=LOADING_ERROR)
    async def model_info() -> ModelInfoBody:
        """Describe the model: version, hashes, threshold, test metrics, training counts."""
        return model()

    @app.get(
        "/model/targets",
        operation_id="model_targets",
        tags=["service"],
        responses=LOADING_ERROR,
        response_model=KnownTargets,
    )
    async def model_targets() -> Any:
        """List the targets that a request may name instead of giving a sequence."""
        # Rendered once, by a worker: of thousands of targets it would take a while.
        return Response(board.latest.targets[model().version], media_type="application/json")
