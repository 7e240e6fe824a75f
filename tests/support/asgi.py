"""An ASGI server in miniature: one request, full duplex, and a client that can leave."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Message, Scope


class Exchange:
    """One request to an application, seen from the client.

    Sent and received messages pass through unbounded queues: neither side waits for the other
    unless it asks for something that is not there yet.
    """

    def __init__(self) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._to_client: asyncio.Queue[Message | None] = asyncio.Queue()
        self._left = asyncio.Event()

    def send(self, body: bytes, *, more: bool = False) -> None:
        """Send a piece of the request's body; the last one unless there is `more`."""
        self._to_app.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()
        self._to_app.put_nowait({"type": "http.disconnect"})

    async def start(self) -> Message:
        """The response's status and headers; raises what the application raised instead."""
        message = await self.next()
        assert message is not None, "the application ended without a response"
        assert message["type"] == "http.response.start"
        return message

    async def next(self) -> Message | None:
        """The next message of the response; None when the application has returned."""
        return await self._to_client.get()

    async def body(self) -> bytes:
        """All of the response's body."""
        pieces: list[bytes] = []
        while (message := await self.next()) is not None:
            pieces.append(message.get("body", b""))
        return b"".join(pieces)

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Have `app` answer."""
        try:
            await app(scope, self._to_app.get, self._receive_from_app)
        finally:
            self._to_client.put_nowait(None)

    async def _receive_from_app(self, message: Message) -> None:
        if not self._left.is_set():
            self._to_client.put_nowait(message)


@asynccontextmanager
async def request(
    app: ASGIApp,
    path: str,
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    kind: str = "http",
) -> AsyncIterator[Exchange]:
    """A request to `app` that is being answered; at the end of the block the client leaves.

    What the application raises comes out of the block.
    """
    scope: Scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in (headers or {}).items()
        ],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 80),
    }
    exchange = Exchange()
    answering = asyncio.create_task(exchange.run(app, scope))
    try:
        yield exchange
    finally:
        exchange.leave()
        await answering
