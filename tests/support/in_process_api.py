"""The API in this process, over real services, and a client of it."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from chat_app.api.app import create_api
from chat_app.api.services import Api
from chat_app.api.sse import Viewers
from chat_app.bootstrap import open_services
from chat_app.config import Settings
from chat_app.streams import frame
from tests.support.asgi import request

TOO_LONG = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def frames(self) -> bytes:
        """The frames of the body, without the end marker."""
        assert self.body.endswith(frame.DONE)
        return self.body.removesuffix(frame.DONE)


@dataclass(slots=True)
class Caller:
    """A client of the API.

    Attributes:
        cookie: The session cookie the API gave the client.
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

    async def send(
        self, text: str, *, message: str = "prompt", wait: float | None = None
    ) -> Answer:
        """Send a prompt; without `wait`, the answer is the whole stream."""
        path = "/api/chat" if wait is None else f"/api/chat?wait={wait}"
        return await self.ask("POST", path, prompt(text, message=message))


def prompt(text: str, *, message: str = "prompt") -> dict[str, Any]:
    parts = [{"type": "text", "text": text}]
    return {"id": "holiday", "message": {"id": message, "role": "user", "parts": parts}}


@asynccontextmanager
async def in_process_api(settings: Settings) -> AsyncGenerator[ASGIApp]:
    """Open the application's API, without the page and without a socket.

    The query may be part of the path or, as a real server has it, in the scope.
    """
    api = create_api(max_body_bytes=settings.max_request_bytes, allowed_origins=())
    async with open_services(settings) as services:
        api.state.api = Api(
            sessions=services.sessions,
            chats=services.chats,
            turns=services.turns,
            upkeep=services.upkeep,
            rates=services.rates,
            session_cookie="session",
            session_lifetime=timedelta(days=1),
            secure_cookies=False,
            heartbeat=settings.heartbeat_interval,
            lifetime=settings.connection_lifetime or None,
            viewers=Viewers(max_per_user=settings.max_viewers),
        )

        async def with_query(scope: Scope, receive: Receive, send: Send) -> None:
            path, _, query = scope["path"].partition("?")
            query_string = query.encode() or scope["query_string"]
            await api({**scope, "path": path, "query_string": query_string}, receive, send)

        yield with_query


async def visitor(app: ASGIApp) -> Caller:
    """Return a client with a session."""
    caller = Caller(app)
    answer = await caller.ask("POST", "/api/session")
    caller.cookie = answer.headers["set-cookie"].partition(";")[0]
    return caller
