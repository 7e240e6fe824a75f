"""Proxies that are bad for event streams, as some company networks have them."""

import asyncio

from tests.support.tcp_proxy import TcpProxy


class BufferingProxy(TcpProxy):
    """Passes a response on when it is complete, and not a byte before.

    For clients that ask with `Connection: close`: the end of the connection is that of the
    response.
    """

    async def _replies(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        client.write(await reader.read())
        await client.drain()


class ImpatientProxy(TcpProxy):
    """Resets each connection `patience` seconds after it was made, whatever is under way."""

    def __init__(self, *, port: int, patience: float) -> None:
        super().__init__(port=port)
        self._patience = patience

    async def _replies(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await super()._replies(reader, client)
        except TimeoutError:
            self._reset(client)
