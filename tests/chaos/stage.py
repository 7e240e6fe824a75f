"""Servers, their proxies and their Redis, and how to break each."""

import signal
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import anyio
import httpx
from anyio import to_thread
from redis.asyncio import Redis

from tests.chaos.schedule import Fault
from tests.chaos.servers import Server, nursery
from tests.support.moment import pause
from tests.support.producing import UNLIMITED
from tests.support.redis_server import RedisServer, running_redis
from tests.support.tcp_proxy import TcpProxy

STALLED = 3.0
"""Seconds without a byte after which a viewer considers a connection dead."""

_START_TIMEOUT = 60
_LOCK_TIMEOUT = 10
_SETTINGS = {
    **UNLIMITED,
    "MAX_OPEN_STREAMS": "0",
    "MAX_VIEWERS": "0",
    "MAX_GUESTS_PER_MINUTE": "0",
    "HEARTBEAT_INTERVAL": "1",
    "DATABASE_TIMEOUT": "1",
}


class Stage:
    """The servers, proxies and Redis of a run.

    Attributes:
        apis: The address of each server, through its proxy.
        lost_at: When Redis last lost data, on the monotonic clock.
        broken: What went wrong with the servers themselves.
    """

    def __init__(
        self, folder: Path, redis: RedisServer, servers: list[Server], proxies: list[TcpProxy]
    ) -> None:
        self.folder = folder
        self.redis = redis
        self.apis = [f"http://127.0.0.1:{proxy.port}" for proxy in proxies]
        self.lost_at = 0.0
        self.broken: list[str] = []
        self._servers = servers
        self._proxies = proxies
        self._faults: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "kill": self._kill,
            "terminate": self._terminate,
            "freeze": self._freeze,
            "cut": self._cut,
            "swallow": self._swallow,
            "empty": self._empty,
            "rewind": self._rewind,
            "flush": self._flush,
            "pause": self._pause,
            "unplug": self._unplug,
            "lock": self._lock,
        }

    async def all_up(self) -> None:
        """Wait until every server answers."""
        async with httpx.AsyncClient(verify=False) as http:
            with anyio.fail_after(_START_TIMEOUT):
                for server in self._servers:
                    await _answers(http, server)

    async def strike(self, fault: Fault) -> None:
        """Cause the fault; return once it is repaired or the repair has begun."""
        await self._faults[fault.kind](fault)

    async def _kill(self, fault: Fault) -> None:
        await self._end(fault, signal.SIGKILL)

    async def _terminate(self, fault: Fault) -> None:
        await self._end(fault, signal.SIGTERM)

    async def _end(self, fault: Fault, number: signal.Signals) -> None:
        await self.all_up()  # so that at least one server is always alive
        server = self._servers[fault.server]
        if not await to_thread.run_sync(server.end, number):
            self.broken.append(f"a server did not stop on {number.name}")
        await to_thread.run_sync(server.launch)

    async def _freeze(self, fault: Fault) -> None:
        await self.all_up()
        server = self._servers[fault.server]
        server.freeze()
        try:
            await pause(fault.seconds)
        finally:
            server.thaw()

    async def _cut(self, fault: Fault) -> None:
        self._proxies[fault.server].cut_all()

    async def _swallow(self, fault: Fault) -> None:
        self._proxies[fault.server].swallow_streams()

    async def _empty(self, _fault: Fault) -> None:
        await to_thread.run_sync(self.redis.restart)
        self.lost_at = time.monotonic()

    async def _rewind(self, fault: Fault) -> None:
        async with Redis.from_url(self.redis.socket_url) as client:
            await client.save()
        await pause(fault.seconds)
        await to_thread.run_sync(partial(self.redis.restart, saved=True))
        self.lost_at = time.monotonic()

    async def _flush(self, _fault: Fault) -> None:
        async with Redis.from_url(self.redis.socket_url) as client:
            await client.flushall()
        self.lost_at = time.monotonic()

    async def _pause(self, fault: Fault) -> None:
        self.redis.pause()
        try:
            await pause(fault.seconds)
        finally:
            self.redis.resume()

    async def _unplug(self, _fault: Fault) -> None:
        async with Redis.from_url(self.redis.socket_url) as client:
            for kind in ("normal", "pubsub"):
                await client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    async def _lock(self, fault: Fault) -> None:
        options = {"timeout": _LOCK_TIMEOUT, "isolation_level": None, "check_same_thread": False}
        with closing(sqlite3.connect(self.folder / "chat.db", **options)) as database:
            await to_thread.run_sync(database.execute, "BEGIN IMMEDIATE")
            await pause(fault.seconds)
            database.execute("ROLLBACK")


async def _answers(http: httpx.AsyncClient, server: Server) -> None:
    while True:
        try:
            if (await http.get(f"http://127.0.0.1:{server.port}/api/openapi.json")).is_success:
                return
        except httpx.TransportError:
            await pause(0.05)


@asynccontextmanager
async def staged(folder: Path, *, servers: int) -> AsyncGenerator[Stage]:
    """Run a Redis, `servers` servers and a proxy for each, for the length of the block."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis())
        settings = {**_SETTINGS, "REDIS_URL": redis.url}
        parent = await to_thread.run_sync(stack.enter_context, nursery(settings, folder=folder))
        all_servers = [Server(parent) for _ in range(servers)]
        proxies = [
            await stack.enter_async_context(TcpProxy(port=server.port)) for server in all_servers
        ]
        stage = Stage(folder, redis, all_servers, proxies)
        for server in all_servers:
            server.launch()
        await stage.all_up()
        yield stage
