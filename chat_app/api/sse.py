"""A stream as an HTTP response: bytes from the log straight to the socket."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chat_app.streams import frame
from chat_app.streams.log import Follower

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    # no-transform: a proxy that compresses an event stream holds it back.
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-vercel-ai-ui-message-stream": "v1",
}


class EventStream(Response):
    """Follows one stream for one viewer until the stream closes or the viewer leaves.

    The body ends with `data: [DONE]` if and only if the stream is closed and all of it was sent.
    If the stream breaks, so does the connection: clients take a clean end for success.

    Args:
        follower: Where the viewer is in the stream.
        heartbeat: A comment is sent when there was nothing else for this long.
        headers: Further headers.
    """

    def __init__(
        self, follower: Follower, *, heartbeat: timedelta, headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers={**HEADERS, **headers})
        del self.headers["content-length"]
        self._follower = follower
        self._heartbeat = heartbeat.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end; what is not sent when the viewer leaves stays in the log."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.wait({sending, leaving})

    async def _send(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        closed = False
        while not closed:
            try:
                async with asyncio.timeout(self._heartbeat):
                    batch = await self._follower.next()
                data, closed = (frame.DONE, True) if batch is None else (batch.data, False)
            except TimeoutError:
                data = frame.HEARTBEAT
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
