"""A TCP proxy that breaks connections where the test wants it."""

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self, TypeVar

from anyio.from_thread import start_blocking_portal


class TcpProxy:
    """Forwards bytes in both directions until told to break something.

    Attributes:
        cuts: Connections reset so far.
    """

    def __init__(self, *, port: int) -> None:
        """Forward to the server at loopback port `port`."""
        self.cuts = 0
        self._upstream = port
        self._cut_after: int | None = None  # reply bytes that may still pass
        self._flowing = asyncio.Event()  # while cleared, no reply passes
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._streams: set[asyncio.StreamWriter] = set()  # clients that were sent events
        self._swallowed: set[asyncio.StreamWriter] = set()  # clients whose replies are dropped
        self._lost: set[asyncio.StreamWriter] = set()  # clients whose requests are dropped as well
        self._word: bytes | None = None  # the word that loses a connection
        self._has_lost = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()  # ended by __aexit__

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_after(self, replied: int) -> None:
        """Let `replied` more bytes of replies pass, then reset the connection."""
        self._cut_after = replied

    def hold(self) -> None:
        """Stop forwarding replies, as if the client had stalled."""
        self._flowing.clear()

    def release(self) -> None:
        """End a `hold`; nothing is lost unless the server gave up meanwhile.

        Like `hold`, it may be called from any thread.
        """
        self._loop.call_soon_threadsafe(self._flowing.set)

    def swallow_streams(self) -> None:
        """Drop what the server sends on the current event streams, and keep them open.

        Other connections are not affected.
        """
        self._swallowed |= self._streams

    def swallow_all(self) -> None:
        """Drop what the server sends on the current connections, and keep them open.

        New connections are not affected.
        """
        self._swallowed |= self._writers

    def lose_at(self, word: bytes) -> None:
        """Lose the next connection on which a client sends `word`; neither end is notified."""
        self._word = word

    async def lost(self) -> None:
        """Wait until a connection has been lost."""
        await self._has_lost.wait()

    def cut_all(self) -> None:
        """Reset every connection now."""
        for writer in list(self._writers):
            self._reset(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await self._connect()
        except (OSError, asyncio.CancelledError):
            self._reset(writer)
            raise
        self._writers.add(writer)
        ways = [
            asyncio.create_task(self._requests(reader, server_writer, client=writer)),
            asyncio.create_task(self._replies(server_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if writer in self._lost:
                await asyncio.wait(ways)  # the server must not notice that its client has gone
        finally:
            self._writers.discard(writer)
            for end in (writer, server_writer):
                end.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            with suppress(OSError):
                await server_writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._upstream)

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        *,
        client: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(65_536):
            if self._word is not None and self._word in data:
                self._word = None
                self._has_lost.set()
                self._lost.add(client)
                self._swallowed.add(client)
            if client in self._lost:
                continue
            server.write(data)
            await server.drain()

    async def _replies(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._flowing.wait()
            if client in self._swallowed:
                continue
            if b"text/event-stream" in data:
                self._streams.add(client)
            if self._cut_after is not None:
                passed, self._cut_after = data[: self._cut_after], self._cut_after - len(data)
                if self._cut_after <= 0:
                    self._cut_after = None
                    client.write(passed)
                    self._reset(client)
                    return
            client.write(data)
            await client.drain()

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        # With SO_LINGER at zero seconds, closing the socket resets the connection.
        raw: socket.socket | None = writer.get_extra_info("socket")
        if raw is not None and raw.fileno() >= 0:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        self.cuts += 1


P = TypeVar("P", bound=TcpProxy)


@contextmanager
def in_thread(proxy: P) -> Iterator[P]:
    """Run a proxy on its own event loop, for tests that have none."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(proxy):
        yield proxy


@contextmanager
def tcp_proxy_in_thread(*, port: int) -> Iterator[TcpProxy]:
    """Run a plain proxy on its own event loop."""
    with in_thread(TcpProxy(port=port)) as proxy:
        yield proxy
