"""What wraps every route: LitServe's, ours, the documentation, and paths that do not exist.

A new one is one line in ``middleware``: an ASGI middleware class and its arguments. It answers for
itself what it refuses, in the form of ``ErrorBody``, since it stands outside the error handlers.
"""

from __future__ import annotations

from typing import Any

from litserve.middlewares import MaxSizeMiddleware

from serve.telemetry.logs import AccessLog
from stages.dti.config.serve import ServeConfig

Middleware = tuple[type, dict[str, Any]]
"""A class that is called with the application, and its other arguments."""


def middleware(config: ServeConfig) -> list[Middleware]:
    """Return what wraps the application, the outermost first."""
    return [
        (AccessLog, {}),
        (MaxSizeMiddleware, {"max_size": config.max_payload_bytes}),
    ]
