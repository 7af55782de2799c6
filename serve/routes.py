"""The HTTP endpoints and the one form of their errors."""

# No `from __future__ import annotations`: FastAPI reads the endpoints' annotations, which name
# what is local to the functions below.
import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from serve.health import State, Status
from serve.schemas import (
    DrugInfo,
    DrugTargetPair,
    ErrorBody,
    HealthBody,
    KnownTarget,
    KnownTargets,
    ModelInfoBody,
    PredictAnswer,
    PredictionRows,
    PredictOne,
    PredictRequest,
    PredictSeveral,
    Problem,
    TargetInfo,
    request_examples,
)
from stages.dti.config.serve import ServeConfig
from stages.dti.errors import nearest

logger = logging.getLogger(__name__)

ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "The body is not UTF-8 text."},
    413: {"model": ErrorBody, "description": "The body is larger than the server takes."},
    422: {"model": ErrorBody, "description": "The body is not JSON of the form described here."},
    500: {"model": ErrorBody, "description": "The program failed; the server's log says how."},
    503: {"model": ErrorBody, "description": "Not ready: /health says why."},
    504: {"model": ErrorBody, "description": "No answer within the server's time limit."},
}

MAX_PROBLEMS = 20
"""Problems listed in one answer."""

Submit = Callable[[PredictRequest], Awaitable[PredictAnswer | None]]


def add_routes(
    app: FastAPI,
    config: ServeConfig,
    service: Callable[[], Status],
    targets: Callable[[], list[KnownTarget]],
    submit: Submit,
) -> None:
    """Add /predict, /health, /model/info and /model/targets.

    Args:
        service: tells how the service is.
        targets: tells which targets the model knows.
        submit: hands a request to an inference worker and waits for its answer.
    """

    @app.post("/predict", operation_id="predict", responses=ERRORS, tags=["prediction"])
    async def predict(
        request: Request,
        body: Annotated[PredictRequest, Body(openapi_examples=request_examples())],
    ) -> PredictAnswer:
        """Predict whether drugs and targets interact.

        Send one pair and get its row, or several as `pairs` and get their rows in order. A pair
        that cannot be scored gives a row with `status` "invalid" and a `reason`; the others are
        not affected by it.
        """
        status = service()
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

    @app.get(
        "/health",
        operation_id="health",
        tags=["service"],
        responses={503: {"model": HealthBody, "description": "Loading, or failed its check."}},
        response_model=HealthBody,
    )
    async def health() -> Any:
        """Tell whether the model is loaded and reproduces its golden predictions."""
        status = service()
        model = status.model
        answer = HealthBody(
            status=status.state.value,
            detail=status.detail,
            model_name=model.name if model else None,
            model_version=model.version if model else None,
        )
        return _json(200 if status.state is State.READY else 503, answer)

    @app.get(
        "/model/info",
        operation_id="model_info",
        tags=["service"],
        responses={503: {"model": ErrorBody, "description": "The model is being loaded."}},
    )
    async def model_info() -> ModelInfoBody:
        """Describe the model: version, hashes, threshold, test metrics, training counts."""
        status = service()
        if status.model is None:
            raise HTTPException(503, f"the service is not ready: {status.detail}")
        return status.model

    @app.get(
        "/model/targets",
        operation_id="model_targets",
        tags=["service"],
        responses={503: {"model": ErrorBody, "description": "The model is being loaded."}},
    )
    async def model_targets() -> KnownTargets:
        """List the targets that a request may name instead of giving a sequence."""
        status = service()
        if status.model is None:
            raise HTTPException(503, f"the service is not ready: {status.detail}")
        return KnownTargets(targets=targets())


def add_error_handlers(app: FastAPI, config: ServeConfig) -> None:
    """Give every error the form of ErrorBody; none repeats the request or shows a stack trace."""

    @app.exception_handler(StarletteHTTPException)
    async def http_error(_request: Request, error: StarletteHTTPException) -> JSONResponse:
        detail = error.detail
        if error.status_code == 413:
            detail = f"the body is larger than {config.max_payload_bytes} bytes; send fewer pairs"
        return _json(error.status_code, ErrorBody(detail=detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [_problem(problem) for problem in error.errors()[:MAX_PROBLEMS]]
        detail = f"not as /docs describes: {problems[0].field}: {problems[0].problem}"
        if "json" not in request.headers.get("content-type", ""):
            detail = "send the body as JSON, with the header Content-Type: application/json"
        return _json(422, ErrorBody(detail=detail, problems=problems))

    @app.exception_handler(Exception)
    async def failure(_request: Request, _error: Exception) -> JSONResponse:
        # Starlette raises it again after this answer, and uvicorn logs it.
        return _json(500, ErrorBody(detail="the program failed; the server's log says how"))


def _problem(error: Any) -> Problem:
    """Turn a validation error into a Problem; its `loc` begins with "body" and the form's tag."""
    form, *path = [_printable(part) for part in error["loc"][1:]] or [""]
    if error["type"] == "json_invalid":
        return Problem(field="body", problem=f"{error['ctx']['error']} at character {form}")
    problem = error["msg"]
    if error["type"] == "extra_forbidden":
        *parents, name = path
        whole: type[BaseModel] = PredictSeveral if form == "several" else PredictOne
        inner: dict[str, type[BaseModel]] = {"drug": DrugInfo, "target": TargetInfo}
        kind: type[BaseModel] = inner.get(parents[-1], DrugTargetPair) if parents else whole
        problem = f"unknown field{nearest(name, kind.model_fields)}"
    return Problem(field=".".join(path) or "body", problem=problem)


def _printable(part: str | int) -> str:
    """A client's own key may be no Unicode text (a lone surrogate), or very long."""
    return str(part)[:100].encode("utf-8", "replace").decode()


def _json(status: int, body: BaseModel, headers: Any = None) -> JSONResponse:
    return JSONResponse(body.model_dump(mode="json"), status_code=status, headers=headers)
