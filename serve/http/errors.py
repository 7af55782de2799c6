"""The one form of the errors: ErrorBody, in words that help and show no internals."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from serve.http.schemas import (
    DrugInfo,
    DrugTargetPair,
    ErrorBody,
    PredictOne,
    PredictSeveral,
    Problem,
    TargetInfo,
)
from stages.dti.config.serve import ServeConfig
from stages.dti.errors import nearest

MAX_PROBLEMS = 20
"""Problems listed in one answer."""


def add_error_handlers(app: FastAPI, config: ServeConfig) -> None:
    """Give every error the form of ErrorBody; none repeats the request or shows a stack trace."""

    @app.exception_handler(StarletteHTTPException)
    async def http_error(_request: Request, error: StarletteHTTPException) -> JSONResponse:
        detail = error.detail
        if error.status_code == 413:
            detail = f"the body is larger than {config.max_payload_bytes} bytes; send fewer pairs"
        return json_answer(error.status_code, ErrorBody(detail=detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [_problem(problem) for problem in error.errors()[:MAX_PROBLEMS]]
        detail = f"not as /docs describes: {problems[0].field}: {problems[0].problem}"
        if "json" not in request.headers.get("content-type", ""):
            detail = "send the body as JSON, with the header Content-Type: application/json"
        return json_answer(422, ErrorBody(detail=detail, problems=problems))

    @app.exception_handler(Exception)
    async def failure(_request: Request, _error: Exception) -> JSONResponse:
        # Starlette raises it again after this answer, and uvicorn logs it.
        return json_answer(500, ErrorBody(detail="the program failed; the server's log says how"))


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


def json_answer(status: int, body: BaseModel, headers: Any = None) -> JSONResponse:
    """Return an answer with this body."""
    return JSONResponse(body.model_dump(mode="json"), status_code=status, headers=headers)
