"""Proxies that harm event streams, like those in some company networks."""

import asyncio

from tests.support.tcp_proxy import TcpProxy


class BufferingProxy(TcpProxy):
    """Forwards a response only once it is complete.

    For clients that send `Connection: close`, so that the connection ends with the response.
    """

    async def _replies(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        client.write(await reader.read())
        await client.drain()


class ImpatientProxy(TcpProxy):
    """Resets each connection `patience` seconds after it was made, even in mid-response."""

    def __init__(self, *, port: int, patience: float) -> None:
        super().__init__(port=port)
        self._patience = patience

    async def _replies(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await super()._replies(reader, client)
        except TimeoutError:
            self._reset(client)
