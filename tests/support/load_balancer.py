"""What stands before several servers: each connection goes to one of those in service."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.support.tcp_proxy import TcpProxy


class LoadBalancer(TcpProxy):
    """Spreads connections over servers, one after the other.

    Attributes:
        ports: Those of the servers, on the loopback.
    """

    def __init__(self, *, ports: Sequence[int]) -> None:
        super().__init__(port=ports[0])
        self.ports = tuple(ports)
        self._in_service = list(ports)

    @contextmanager
    def without(self, port: int) -> Iterator[None]:
        """Send no new connections to a server, as during its restart; those there are stay."""
        self._in_service.remove(port)
        try:
            yield
        finally:
            self._in_service.append(port)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._in_service.append(self._in_service.pop(0))
        return await asyncio.open_connection("127.0.0.1", self._in_service[-1])
