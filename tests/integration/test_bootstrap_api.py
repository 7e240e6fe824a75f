"""The API over the opened parts, in this process: each answer there is to each request."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from chat_app.api.app import create_api
from chat_app.api.services import Api
from chat_app.api.sse import Viewers
from chat_app.bootstrap import open_services
from chat_app.config import Settings
from chat_app.streams import frame
from tests.support.asgi import request
from tests.support.server_process import text_of

pytestmark = pytest.mark.anyio

TOO_LONG = 10
SHORT, LONG = "/demo tokens=3 rate=0 words=1", "/demo tokens=5000 rate=100 words=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> bytes:
        """The events, without what marks their end."""
        assert self.body.endswith(frame.DONE)
        return self.body.removesuffix(frame.DONE)


@dataclass(slots=True)
class Caller:
    """Somebody who asks the API.

    Attributes:
        cookie: What the API gave them to be known by.
    """

    app: ASGIApp
    cookie: str = ""

    async def ask(
        self, method: str, path: str, body: object = None, *, last_event_id: str = ""
    ) -> Answer:
        headers = {"content-type": "application/json", "cookie": self.cookie}
        if last_event_id:
            headers["last-event-id"] = last_event_id
        async with request(self.app, path, method=method, headers=headers) as exchange:
            exchange.send(b"" if body is None else json.dumps(body).encode())
            with anyio.fail_after(TOO_LONG):
                start = await exchange.start()
                sent = {name.decode(): value.decode() for name, value in start["headers"]}
                return Answer(status=start["status"], headers=sent, body=await exchange.body())

    async def send(self, text: str, *, message: str = "prompt") -> Answer:
        return await self.ask("POST", "/api/chat", prompt(text, message=message))


def prompt(text: str, *, message: str = "prompt") -> dict[str, Any]:
    parts = [{"type": "text", "text": text}]
    return {"id": "holiday", "message": {"id": message, "role": "user", "parts": parts}}


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'chat.db'}"


@pytest.fixture
async def app(database_url: str) -> AsyncGenerator[ASGIApp]:
    api: FastAPI = create_api(max_body_bytes=10_000, allowed_origins=())
    async with open_services(Settings(database_url=database_url)) as services:
        api.state.api = Api(
            sessions=services.sessions,
            turns=services.turns,
            session_cookie="session",
            session_lifetime=timedelta(days=1),
            secure_cookies=False,
            heartbeat=timedelta(seconds=15),
            viewers=Viewers(),
        )

        async def with_query(scope: Scope, receive: Receive, send: Send) -> None:
            path, _, query = scope["path"].partition("?")
            await api({**scope, "path": path, "query_string": query.encode()}, receive, send)

        yield with_query


@pytest.fixture
async def caller(app: ASGIApp) -> Caller:
    """Somebody with a session."""
    visitor = Caller(app)
    answer = await visitor.ask("POST", "/api/session")
    visitor.cookie = answer.headers["set-cookie"].partition(";")[0]
    return visitor


async def test_a_session_is_given_once_and_kept(caller: Caller, app: ASGIApp) -> None:
    again = await caller.ask("POST", "/api/session")
    other = await Caller(app).ask("POST", "/api/session")

    assert again.status == other.status == 200
    assert "set-cookie" not in again.headers
    assert again.json()["user_id"] != other.json()["user_id"]
    cookie = other.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie


async def test_a_prompt_is_answered_with_its_stream(caller: Caller) -> None:
    answer = await caller.send(SHORT)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert answer.headers["x-stream-id"]
    assert "content-length" not in answer.headers
    assert text_of(answer.frames) == "w1 w2 w3 "


@pytest.mark.parametrize("route", ["/api/chat?chatId=holiday", "/api/chat/holiday/stream?"])
async def test_a_stream_is_resumed_behind_the_cursor(caller: Caller, route: str) -> None:
    whole = await caller.send(SHORT)
    frames = frame.split(whole.body)

    by_url = await caller.ask("GET", f"{route}&after=2")
    by_header = await caller.ask("GET", f"{route}&after=1", last_event_id="2")

    assert by_url.body == by_header.body == b"".join(frames[2:])
    assert by_url.headers["x-stream-id"] == whole.headers["x-stream-id"]


async def test_a_finished_answer_is_given_as_the_message_it_is(caller: Caller) -> None:
    await caller.send(SHORT)

    answer = await caller.ask("GET", "/api/chat?chatId=holiday&after=")

    event = json.loads(answer.frames.removeprefix(b"data: "))
    assert event["type"] == "data-appendMessage"
    message = json.loads(event["data"])
    assert message["parts"] == [{"type": "text", "text": "w1 w2 w3 "}]
    assert message["metadata"]["status"] == "complete"
    assert (await caller.ask("GET", "/api/chat/holiday/stream")).status == 204


async def test_a_stop_is_accepted_while_something_is_answered(caller: Caller, app: ASGIApp) -> None:
    headers = {"content-type": "application/json", "cookie": caller.cookie}
    async with request(app, "/api/chat", headers=headers) as exchange:
        exchange.send(json.dumps(prompt(LONG)).encode())
        with anyio.fail_after(TOO_LONG):
            await exchange.start()
            await exchange.next()

            stopping = await caller.ask("POST", "/api/chat/holiday/stop")

            rest = await exchange.body()

    assert stopping.status == 202
    assert stopping.json()["cursor"] >= 0
    assert b'"outcome":"stopped"' in rest
    assert rest.endswith(frame.DONE)
    assert (await caller.ask("POST", "/api/chat/holiday/stop")).status == 204


async def test_a_viewer_that_leaves_ends_nothing_but_its_own_response(
    caller: Caller, app: ASGIApp
) -> None:
    headers = {"content-type": "application/json", "cookie": caller.cookie}
    async with request(app, "/api/chat", headers=headers) as exchange:
        exchange.send(json.dumps(prompt("/demo tokens=50 rate=200 words=1")).encode())
        with anyio.fail_after(TOO_LONG):
            await exchange.start()
            await exchange.next()

    rest = await caller.ask("GET", "/api/chat?chatId=holiday&after=0")

    assert text_of(rest.frames) == "".join(f"w{number} " for number in range(1, 51))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/chat?chatId=unheard-of", 404, "chat_not_found"),
        ("GET", "/api/chat/unheard-of/stream", 404, "chat_not_found"),
        ("POST", "/api/chat/unheard-of/stop", 404, "chat_not_found"),
        ("GET", "/api/chat", 400, "invalid_request"),
        ("GET", "/api/chat?chatId=holiday&after=x", 400, "invalid_offset"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("POST", "/api/chat", 422, "invalid_request"),
    ],
)
async def test_a_refusal_says_why(
    caller: Caller, method: str, path: str, status: int, code: str
) -> None:
    answer = await caller.ask(method, path, {} if path == "/api/chat" else None)

    assert (answer.status, answer.json()["code"]) == (status, code)


async def test_a_stranger_is_nobody(app: ASGIApp) -> None:
    answer = await Caller(app, cookie="session=made-up").send(SHORT)

    assert (answer.status, answer.json()["code"]) == (401, "not_authenticated")
