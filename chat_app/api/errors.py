"""Every error in the one shape that clients see, `{"code", "message"}`, and its HTTP status."""

import logging
import math
from collections.abc import Mapping
from datetime import timedelta

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from chat_app import errors

_logger = logging.getLogger(__name__)

STATUS: Mapping[type[errors.ChatAppError], int] = {
    errors.StreamNotFound: 404,
    errors.StreamClosed: 409,
    errors.InvalidOffset: 400,
    errors.OffsetExpired: 410,
    errors.Fenced: 409,
    errors.LogUnavailable: 503,
    errors.TurnInProgress: 409,
    errors.ProviderUnavailable: 502,
    errors.ProviderMisconfigured: 502,
    errors.ProviderThrottled: 429,
    errors.PromptRejected: 422,
    errors.ContextExceeded: 422,
    errors.NotAuthenticated: 401,
    errors.ForbiddenOrigin: 403,
    errors.ChatNotFound: 404,
    errors.RateLimited: 429,
    errors.InvalidRequest: 422,
    errors.PromptTooLarge: 413,
    errors.ChatTooLong: 422,
    errors.DatabaseUnavailable: 503,
    errors.InvalidSettings: 500,
}
"""The HTTP status of each error; those that only group others are never raised."""

HTTP_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    400: "invalid_json",  # the only 400 that FastAPI raises itself: a body that is not even UTF-8
    413: "prompt_too_large",
}
"""The codes for what the framework itself refuses."""


def add_error_handlers(api: FastAPI) -> None:
    """Answer every error of `api` in the one shape."""
    api.add_exception_handler(errors.ChatAppError, _on_chat_app_error)
    api.add_exception_handler(RequestValidationError, _on_validation_error)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(Exception, _on_unexpected_error)


def error_response(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **more: str
) -> JSONResponse:
    """An error as a response."""
    body = {"code": code, "message": message, **more}
    return JSONResponse(body, status_code=status, headers=dict(headers or {}))


async def _on_chat_app_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.ChatAppError)  # noqa: S101 # registered for these alone
    wait = getattr(error, "retry_after", None)
    headers: dict[str, str] = {}
    if isinstance(wait, timedelta):
        # So that a page of another, allowed origin can read it too.
        headers["access-control-expose-headers"] = "retry-after"
        headers["retry-after"] = str(math.ceil(wait.total_seconds()))
    more = {"stream_id": error.stream_id} if isinstance(error, errors.TurnInProgress) else {}
    return error_response(
        STATUS.get(type(error), 500), error.code, str(error), headers=headers, **more
    )


async def _on_validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 # registered for these alone
    first = error.errors()[0]
    place = ".".join(str(step) for step in first["loc"][1:])
    if first["type"] == "json_invalid":
        return error_response(400, "invalid_json", "the body is not JSON")
    if first["loc"][0] == "query":
        return error_response(400, "invalid_request", f"{place}: {first['msg']}")
    return error_response(
        422, "invalid_request", f"{place}: {first['msg']}" if place else first["msg"]
    )


async def _on_http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 # registered for these alone
    code = HTTP_CODES.get(error.status_code, "http_error")
    return error_response(error.status_code, code, str(error.detail), headers=error.headers)


async def _on_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    _logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(500, errors.ChatAppError.code, "something went wrong on the server")
