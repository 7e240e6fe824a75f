"""No request makes the server buffer more than it has to."""

import json

import anyio
import pytest
from fastapi import FastAPI, Request
from starlette.types import Message, Receive, Scope, Send

from chat_app.api.body_limit import BodyLimit
from chat_app.api.errors import add_error_handlers
from tests.support.asgi import Exchange, request

pytestmark = pytest.mark.anyio

TOO_LONG = 5
LIMIT = 10


@pytest.fixture
def api() -> FastAPI:
    """An API that answers with the length of the request's body."""
    api = FastAPI()
    api.add_middleware(BodyLimit, max_bytes=LIMIT)
    add_error_handlers(api)

    @api.post("/{path:path}")
    async def length(path: str, request: Request) -> int:
        return len(await request.body())

    return api


async def answered(exchange: Exchange) -> tuple[int, object]:
    with anyio.fail_after(TOO_LONG):
        status = (await exchange.start())["status"]
        return status, json.loads(await exchange.body())


async def test_a_body_within_the_limit_passes(api: FastAPI) -> None:
    async with request(api, "/api/x", headers={"content-length": "10"}) as exchange:
        exchange.send(b"x" * 4, more=True)
        exchange.send(b"x" * 6)

        assert await answered(exchange) == (200, 10)


@pytest.mark.parametrize("length", ["11", "9" * 5000])
async def test_a_body_declared_too_long_is_refused_before_it_is_read(
    api: FastAPI, length: str
) -> None:
    async with request(api, "/api/x", headers={"content-length": length}) as exchange:
        status, body = await answered(exchange)

    assert status == 413
    assert body == {
        "code": "prompt_too_large",
        "message": "a request body may have at most 10 bytes",
    }


@pytest.mark.parametrize("headers", [{}, {"content-length": "1"}, {"content-length": "?"}])
async def test_a_body_that_gets_too_long_is_refused_as_soon_as_it_is(
    api: FastAPI, headers: dict[str, str]
) -> None:
    async with request(api, "/api/x", headers=headers) as exchange:
        exchange.send(b"x" * 10, more=True)
        exchange.send(b"x", more=True)  # and more would follow

        status, body = await answered(exchange)

    assert status == 413
    assert body == {
        "code": "prompt_too_large",
        "message": "a request body may have at most 10 bytes",
    }


async def test_requests_outside_the_api_are_not_limited(api: FastAPI) -> None:
    async with request(api, "/upload", headers={"content-length": "11"}) as exchange:
        exchange.send(b"x" * 11)

        assert await answered(exchange) == (200, 11)


async def test_a_websocket_passes_untouched() -> None:
    got: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        got.append(await receive())

    async with request(BodyLimit(app, max_bytes=LIMIT), "/api/x", kind="websocket") as exchange:
        exchange.send(b"x" * 11)
        with anyio.fail_after(TOO_LONG):
            assert await exchange.next() is None

    assert [len(message["body"]) for message in got] == [11]


async def test_a_caller_that_leaves_ends_the_request(api: FastAPI) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            seen.append(message["type"])

    async with request(BodyLimit(app, max_bytes=LIMIT), "/api/x") as exchange:
        exchange.send(b"x", more=True)
        exchange.leave()
        with anyio.fail_after(TOO_LONG):
            assert await exchange.next() is None

    assert seen == ["http.request"]
