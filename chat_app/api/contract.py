"""What OpenAPI says about each route beyond its types: every status, every code, every header."""

from collections import defaultdict
from typing import Any

from fastapi import FastAPI

from chat_app import errors
from chat_app.api.errors import HTTP_CODES, STATUS

Responses = dict[int | str, dict[str, Any]]

_RETRY_AFTER = {
    "retry-after": {
        "description": "Seconds to wait before retrying.",
        "schema": {"type": "integer"},
    }
}
_STREAM_ID = {
    "x-stream-id": {
        "description": "The stream these events are from.",
        "schema": {"type": "string"},
    }
}

_EVENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "The offset, or `end`."},
        "data": {"type": "string", "description": "A JSON object, or `[DONE]`."},
    },
}

NO_CONTENT: Responses = {204: {"description": "There is nothing to follow.", "content": {}}}

EVENTS: Responses = {
    200: {
        "description": (
            "Server-sent events in the AI SDK's UI message stream protocol, version 1. `id` is the "
            "event's offset. `data: [DONE]` follows the last event; a body that ends without it was "
            "cut, unless `wait` was given. The schema describes one event."
        ),
        "content": {"text/event-stream": {"schema": _EVENT}},
        "headers": _STREAM_ID,
    }
}

_ANY_ROUTE = (errors.ChatAppError, errors.DatabaseUnavailable, errors.RateLimited)
_FOR_CALLERS = (*_ANY_ROUTE, errors.NotAuthenticated)


def refusals(
    *kinds: type[errors.ChatAppError],
    query: bool = False,
    body: bool = False,
    path: bool = False,
    write: bool = False,
    anonymous: bool = False,
) -> Responses:
    """All errors of a route, for its `responses`.

    Args:
        kinds: The errors it can raise, besides those that every route can.
        query: It has query parameters that can be invalid.
        body: It takes JSON.
        path: Its path contains an id.
        write: It changes something, so another site's page may not call it.
        anonymous: It needs no identity.
    """
    codes: defaultdict[int, set[str]] = defaultdict(set)
    for kind in (*(_ANY_ROUTE if anonymous else _FOR_CALLERS), *kinds):
        codes[STATUS.get(kind, 500)].add(kind.code)
    codes[413].add(HTTP_CODES[413])  # any request may have a body, even if the route ignores it
    if query:
        codes[400].add(errors.InvalidRequest.code)
    if body:
        codes[400].add(HTTP_CODES[400])
        codes[422].add(errors.InvalidRequest.code)
    if path:
        codes[404].add(HTTP_CODES[404])  # an id with a slash makes another path
        codes[422].add(errors.InvalidRequest.code)
    if write:
        codes[403].add(errors.ForbiddenOrigin.code)
    return {status: _refusal(status, names) for status, names in sorted(codes.items())}


def _refusal(status: int, codes: set[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "code": {"type": "string", "enum": sorted(codes)},
        "message": {"type": "string"},
    }
    if errors.TurnInProgress.code in codes:
        properties["stream_id"] = {"type": "string", "description": "The open stream."}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    described = {
        "description": "`" + "`, `".join(sorted(codes)) + "`",
        "content": {"application/json": {"schema": schema}},
    }
    return {**described, "headers": _RETRY_AFTER} if status in {429, 503} else described


class DocumentedAPI(FastAPI):
    """Documents what its routes answer, not what FastAPI assumes they do."""

    def openapi(self) -> dict[str, Any]:
        """The schema, without FastAPI's own response to an invalid request, which we replace."""
        schema = super().openapi()
        for methods in schema["paths"].values():
            for operation in methods.values():
                if "HTTPValidationError" in str(operation["responses"].get("422", "")):
                    del operation["responses"]["422"]
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
        return schema
