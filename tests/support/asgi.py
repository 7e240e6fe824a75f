"""A miniature ASGI server: one full-duplex request, and a client that can leave."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Message, Scope


class Exchange:
    """One request to an application, as the client sees it.

    Messages pass through unbounded queues in both directions: a side only waits when it reads
    something that has not been sent yet.
    """

    def __init__(self) -> None:
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._to_client: asyncio.Queue[Message | None] = asyncio.Queue()
        self._left = asyncio.Event()

    def send(self, body: bytes, *, more: bool = False) -> None:
        """Send a piece of the request body; it is the last one unless `more`."""
        self._to_app.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()
        self._to_app.put_nowait({"type": "http.disconnect"})

    async def start(self) -> Message:
        """Return the message with the response's status and headers."""
        message = await self.next()
        assert message is not None, "the application ended without a response"
        assert message["type"] == "http.response.start"
        return message

    async def next(self) -> Message | None:
        """Return the next message of the response; None once the application has returned."""
        return await self._to_client.get()

    async def body(self) -> bytes:
        """Return the whole response body."""
        pieces: list[bytes] = []
        while (message := await self.next()) is not None:
            pieces.append(message.get("body", b""))
        return b"".join(pieces)

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run `app` on the request."""
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
    """Send a request to `app`; at the end of the block the client leaves.

    An exception of the application is raised at the end of the block.
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
