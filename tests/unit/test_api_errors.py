"""Every error has a status and a code of its own, and all have one shape."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi import FastAPI, Query
from starlette.exceptions import HTTPException

from chat_app import errors
from chat_app.api.errors import STATUS, add_error_handlers, error_response
from tests.support.asgi import request

BRANCHES = {errors.StreamError, errors.GenerationError, errors.AccessError}
"""Base classes that are never raised; `InvalidRequest` has subclasses but is raised too."""


def below(root: type[errors.ChatAppError]) -> Iterator[type[errors.ChatAppError]]:
    for kind in root.__subclasses__():
        # Other tests may define errors of their own.
        if kind.__module__ == errors.__name__:
            yield kind
            yield from below(kind)


ALL = list(below(errors.ChatAppError))


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in BRANCHES])
def test_every_error_has_a_status(kind: type[errors.ChatAppError]) -> None:
    assert 400 <= STATUS[kind] < 600


def test_only_errors_that_exist_have_a_status() -> None:
    assert set(STATUS) == set(ALL) - BRANCHES


def test_every_code_belongs_to_one_error_and_is_in_snake_case() -> None:
    codes = [kind.code for kind in (errors.ChatAppError, *ALL)]

    assert len(set(codes)) == len(codes)
    assert [code for code in codes if not re.fullmatch("[a-z]+(_[a-z]+)*", code)] == []


def test_an_answer_is_a_code_and_a_message() -> None:
    made = error_response(409, "conflict", "no", headers={"retry-after": "1"}, stream_id="17")

    assert json.loads(bytes(made.body)) == {"code": "conflict", "message": "no", "stream_id": "17"}
    assert (made.status_code, made.headers["retry-after"]) == (409, "1")


class Unmapped(errors.ChatAppError):
    """An error that has no status."""

    code = "unmapped"


RAISED: dict[str, tuple[Exception, int, dict[str, str]]] = {
    "wait": (
        errors.LogUnavailable("away", retry_after=timedelta(seconds=1.2)),
        503,
        {"code": "log_unavailable", "message": "away"},
    ),
    "no wait": (
        errors.ProviderThrottled("busy"),
        429,
        {"code": "provider_throttled", "message": "busy"},
    ),
    "too many": (
        errors.RateLimited("slowly", retry_after=timedelta(seconds=2)),
        429,
        {"code": "rate_limited", "message": "slowly"},
    ),
    "stream": (
        errors.TurnInProgress("busy", stream_id="17"),
        409,
        {"code": "turn_in_progress", "message": "busy", "stream_id": "17"},
    ),
    "unmapped": (Unmapped("oh"), 500, {"code": "unmapped", "message": "oh"}),
    "http": (HTTPException(405, "no"), 405, {"code": "method_not_allowed", "message": "no"}),
    "other http": (HTTPException(418, "no"), 418, {"code": "http_error", "message": "no"}),
}


async def asked(api: FastAPI, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    headers = {"content-type": "application/json"}
    async with request(api, path, headers=headers) as exchange:
        exchange.send(body)
        start = await exchange.start()
        sent = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], sent, await exchange.body()


@pytest.mark.anyio
@pytest.mark.parametrize("what", RAISED)
async def test_an_error_is_answered_in_the_one_shape(what: str) -> None:
    error, status, body = RAISED[what]
    api = FastAPI()
    add_error_handlers(api)

    @api.post("/")
    async def fail() -> None:
        raise error

    got_status, headers, got = await asked(api, "/")

    assert (got_status, json.loads(got)) == (status, body)
    assert headers.get("retry-after") == ("2" if what in {"wait", "too many"} else None)


@pytest.mark.anyio
async def test_an_unforeseen_error_is_logged_and_not_shown_to_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = FastAPI()
    add_error_handlers(api)

    @api.post("/")
    async def fail() -> None:
        raise ZeroDivisionError("secret")

    seen: list[bytes] = []

    async def ask() -> None:
        async with request(api, "/") as exchange:
            exchange.send(b"")
            assert (await exchange.start())["status"] == 500
            seen.append(await exchange.body())

    # Starlette answers, then re-raises the error for the server to log.
    with pytest.raises(ZeroDivisionError):
        await ask()

    assert json.loads(seen[0])["code"] == "internal_error"
    assert b"secret" not in seen[0]
    assert [record.exc_info and record.exc_info[0] for record in caplog.records] == [
        ZeroDivisionError
    ]


@pytest.mark.anyio
async def test_a_request_that_cannot_be_read_is_answered_with_the_place_of_the_error() -> None:
    api = FastAPI()
    add_error_handlers(api)

    @api.post("/")
    async def echo(body: dict[str, int]) -> None: ...

    @api.post("/search")
    async def search(number: int = Query()) -> None: ...

    not_json = await asked(api, "/", b"{")
    not_utf8 = await asked(api, "/", b'{"\xff": 1}')
    not_a_number = await asked(api, "/", b'{"a": "b"}')
    nothing = await asked(api, "/", b"null")
    no_query = await asked(api, "/search", b"")

    assert [status for status, _, _ in (not_json, not_a_number, nothing, no_query)] == [
        400,
        422,
        422,
        400,
    ]
    assert json.loads(not_json[2])["code"] == "invalid_json"
    assert (not_utf8[0], json.loads(not_utf8[2])["code"]) == (400, "invalid_json")
    assert json.loads(not_a_number[2])["message"].startswith("a: ")
    assert json.loads(no_query[2])["message"].startswith("number: ")
