"""Which requests to the API a page of another site cannot make."""

import json

import anyio
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from chat_app.api.origins import OriginGuard
from tests.support.asgi import request

pytestmark = pytest.mark.anyio

TOO_LONG = 5
PAGE = "http://localhost:3000"
OWN = {"host": "chat.example", "origin": "https://chat.example"}
FOREIGN = {"host": "chat.example", "origin": "https://evil.example"}


@pytest.fixture
def reached() -> list[str]:
    """The methods of the requests that the guard passed on."""
    return []


@pytest.fixture
def app(reached: list[str]) -> ASGIApp:
    inner = FastAPI()

    @inner.api_route("/{path:path}", methods=["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"])
    async def reach(path: str) -> None:
        reached.append(path)

    return OriginGuard(inner, allowed=[PAGE])


async def ask(
    app: ASGIApp, headers: dict[str, str], *, method: str = "POST", path: str = "/api/session"
) -> tuple[int, bytes]:
    async with request(app, path, method=method, headers=headers) as exchange:
        exchange.send(b"")
        with anyio.fail_after(TOO_LONG):
            return (await exchange.start())["status"], await exchange.body()


REFUSED = {
    "another site": FOREIGN,
    "a sandboxed page": {"host": "chat.example", "origin": "null"},
    "a sandboxed page that hides its host": {"origin": "null"},
    "another port": {"host": "chat.example", "origin": "https://chat.example:8443"},
    "another site by its fetch metadata": {"host": "chat.example", "sec-fetch-site": "cross-site"},
    "another site behind a proxy": {**FOREIGN, "x-forwarded-host": "chat.example"},
    "another site that says it is this one": {**FOREIGN, "sec-fetch-site": "same-origin"},
}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("what", REFUSED)
async def test_a_write_from_another_sites_page_is_refused_before_anything_happens(
    app: ASGIApp, reached: list[str], what: str, method: str
) -> None:
    status, body = await ask(app, REFUSED[what], method=method)

    assert (status, json.loads(body)["code"]) == (403, "forbidden_origin")
    assert set(json.loads(body)) == {"code", "message"}
    assert reached == []


PASSED = {
    "its own page": OWN,
    "its own page behind a proxy": {**OWN, "host": "10.0.0.1", "x-forwarded-host": "chat.example"},
    "an allowed page": {"host": "localhost:8000", "origin": PAGE, "sec-fetch-site": "same-site"},
    "an allowed page of another site": {
        "host": "chat.example",
        "origin": PAGE,
        "sec-fetch-site": "cross-site",
    },
    "no page": {"host": "chat.example"},
    "an address typed in": {"host": "chat.example", "sec-fetch-site": "none"},
}


@pytest.mark.parametrize("what", PASSED)
async def test_a_write_from_an_own_page_an_allowed_page_or_no_page_is_passed_on(
    app: ASGIApp, reached: list[str], what: str
) -> None:
    status, _ = await ask(app, PASSED[what])

    assert status == 200
    assert reached == ["api/session"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_reading_is_left_to_the_browsers_own_rules(app: ASGIApp, method: str) -> None:
    assert (await ask(app, FOREIGN, method=method))[0] == 200


async def test_a_request_outside_the_api_is_passed_on(app: ASGIApp) -> None:
    assert (await ask(app, FOREIGN, path="/upload"))[0] == 200


async def test_a_websocket_has_a_check_of_its_own() -> None:
    kinds: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        kinds.append(scope["type"])

    guard = OriginGuard(inner, allowed=[])
    async with request(guard, "/api/x", headers=FOREIGN, kind="websocket") as exchange:
        with anyio.fail_after(TOO_LONG):
            assert await exchange.next() is None

    assert kinds == ["websocket"]
