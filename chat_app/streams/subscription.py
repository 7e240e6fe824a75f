"""Receives what the scripts publish: any number of channels over one connection."""

import asyncio
import time

from chat_app.streams.connection import DedicatedConnection
from chat_app.streams.outages import outages_translated


class Subscription:
    """The channels of one connection. Methods raise `LogUnavailable` when it is cut.

    Attributes:
        heard_at: When the store last sent anything, by the monotonic clock.
    """

    def __init__(self, connection: DedicatedConnection, *, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self.heard_at = time.monotonic()

    async def add(self, *channels: str) -> None:
        """Subscribe to `channels`; `next` says when each subscription has begun."""
        await self._send("SUBSCRIBE", *channels)

    async def ping(self) -> None:
        """Ask the store for an answer; it updates `heard_at` if the connection is alive."""
        await self._send("PING")

    async def next(self) -> tuple[str, bytes | None]:
        """Return the next message: its channel and its payload.

        A payload of None means that the subscription to the channel begins here.
        """
        while True:
            with outages_translated():
                message = await self._connection.receive()
            self.heard_at = time.monotonic()
            kind = message[0]
            if kind == b"message":
                return message[1].decode(), message[2]
            if kind == b"subscribe":
                return message[1].decode(), None

    async def aclose(self) -> None:
        """Close the connection; a pending `next` raises."""
        await self._connection.aclose()

    async def _send(self, *command: str) -> None:
        with outages_translated():
            async with asyncio.timeout(self._timeout):
                await self._connection.send([command])
