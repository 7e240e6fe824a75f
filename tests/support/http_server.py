"""The real HTTP server in the test's process, so that its tasks and sockets can be counted."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from granian.constants import Interfaces
from granian.server.embed import Server
from starlette.types import ASGIApp

from tests.support.ports import free_port


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncGenerator[int]:
    """Serve `app` on a loopback port; yield the port."""
    port = free_port()
    server = Server(
        app, port=port, interface=Interfaces.ASGINL, websockets=False, log_enabled=False
    )
    serving = asyncio.create_task(server.serve(), name="http server")
    try:
        await _answers(port)
        yield port
    finally:
        server.stop()
        await serving


async def _answers(port: int) -> None:
    """Wait until something listens on `port`."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
            return
