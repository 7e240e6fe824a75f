"""A load balancer: each connection goes to one of the servers in service."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.support.tcp_proxy import TcpProxy


class LoadBalancer(TcpProxy):
    """Spreads connections over the servers in turn.

    Attributes:
        ports: The servers' loopback ports.
    """

    def __init__(self, *, ports: Sequence[int]) -> None:
        super().__init__(port=ports[0])
        self.ports = tuple(ports)
        self._in_service = list(ports)

    @contextmanager
    def without(self, port: int) -> Iterator[None]:
        """Send a server no new connections, as during its restart; existing ones stay."""
        self._in_service.remove(port)
        try:
            yield
        finally:
            self._in_service.append(port)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._in_service.append(self._in_service.pop(0))
        return await asyncio.open_connection("127.0.0.1", self._in_service[-1])
