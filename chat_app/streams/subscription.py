"""What the scripts publish, as it comes: one connection, any number of channels."""

import asyncio
import time

from chat_app.streams.line import Line
from chat_app.streams.outages import outages_translated


class Subscription:
    """Channels of one connection. Every method raises `LogUnavailable` when it is cut.

    Attributes:
        heard: When the store last said anything, by the monotonic clock.
    """

    def __init__(self, line: Line, *, timeout: float) -> None:
        self._line = line
        self._timeout = timeout
        self.heard = time.monotonic()

    async def add(self, *channels: str) -> None:
        """Receive what is published on `channels`, from the moment that `next` tells of."""
        await self._send("SUBSCRIBE", *channels)

    async def ping(self) -> None:
        """Have the store say something, which moves `heard` if the connection lives."""
        await self._send("PING")

    async def next(self) -> tuple[str, bytes | None]:
        """The next channel and what was published on it.

        A payload of None says that the channel is subscribed from here on.
        """
        while True:
            with outages_translated():
                message = await self._line.receive()
            self.heard = time.monotonic()
            kind = message[0]
            if kind == b"message":
                return message[1].decode(), message[2]
            if kind == b"subscribe":
                return message[1].decode(), None

    async def aclose(self) -> None:
        """Close the connection; whoever waits for `next` is told by an error."""
        await self._line.aclose()

    async def _send(self, *command: str) -> None:
        with outages_translated():
            async with asyncio.timeout(self._timeout):
                await self._line.send([command])
