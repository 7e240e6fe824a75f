"""A stream in whole responses, for proxies that hold a body back until its end or cut a long one.

The client asks again from its cursor until a body contains `data: [DONE]`.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from starlette.types import Send

from chat_app.api.sse import EventStream, Viewers
from chat_app.errors import LogUnavailable, StreamNotFound
from chat_app.streams import frame
from chat_app.streams.follower import Follower

_GATHERING = 0.25
"""Seconds the first event waits for others: one request per event would exceed the rate limit."""


class LongPoll(EventStream):
    """The next events as a body of known length; empty if none came in time.

    The frames are those of an `EventStream` from the same cursor, and `data: [DONE]` follows them
    if and only if the stream is closed and all of it was sent.

    Args:
        follower: The viewer's position in the stream.
        wait: The longest time to wait for an event.
        headers: Further headers.
        viewers: Breaks the response off when the server shuts down.
    """

    def __init__(
        self,
        follower: Follower,
        *,
        wait: timedelta,
        headers: Mapping[str, str],
        viewers: Viewers | None = None,
    ) -> None:
        super().__init__(follower, heartbeat=wait, headers=headers, viewers=viewers)
        self._wait = wait

    async def _send(self, send: Send) -> None:
        body = await self._next_events()
        self.headers["content-length"] = str(len(body))
        self._started = True
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body})

    async def _next_events(self) -> bytes:
        events: list[bytes] = []
        try:
            if self._follower.live:
                async with asyncio.timeout(self._wait.total_seconds()):
                    await self._take(events)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GATHERING):
                        while not self._follower.ended:
                            await self._take(events)
            else:
                await self._take(events)
        except TimeoutError:
            return b""
        except StreamNotFound as error:
            # The store has lost it; its producer will write it again.
            raise LogUnavailable("the stream is temporarily unavailable") from error
        return b"".join(events) + (frame.DONE if self._follower.ended else b"")

    async def _take(self, events: list[bytes]) -> None:
        batch = await self._follower.next()
        if batch is not None:
            events.append(batch.data)
