"""The store under the log: Redis, a Redis Cluster, or the same commands inside this process.

Only this module, with its helpers `connection`, `appends`, `subscription` and `outages`, uses
`redis` and `burner_redis`. `memory://` runs burner-redis, which lacks some commands (in Lua: HMGET,
UNLINK; elsewhere: exclusive ranges). The scripts use only what both have, so there is one
implementation and one contract suite.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import redis.asyncio as redis
from burner_redis import BurnerRedis  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] # untyped
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo

from chat_app.streams.appends import (
    Appends,
    ClusterAppends,
    EmbeddedAppends,
    Request,
    ServerAppends,
)
from chat_app.streams.connection import DedicatedConnection
from chat_app.streams.outages import outages_translated
from chat_app.streams.subscription import Subscription

_SCRIPTS = {path.stem: path.read_text() for path in (Path(__file__).parent / "lua").glob("*.lua")}
_FIELD = b"f"
_MAX_CALLS = 32  # concurrent, hence connections to a server, beside the writer's and the feed's
_DRIVER = DriverInfo()  # shared by all connections: creating one reads the disk


class Engine:
    """The few operations that the log needs from its store.

    Each raises `LogUnavailable` if the store does not answer within the timeout. Any script can
    then be sent again: each recognises what it has already done.

    Attributes:
        shared: Whether other processes see this store too.
    """

    def __init__(
        self,
        client: Any,
        *,
        appends: Appends,
        timeout: timedelta,
        connection: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        self.shared = connection is not None
        self._client = client
        self._appends = appends
        self._timeout = timeout.total_seconds()
        self._connection = connection
        self._slots = asyncio.Semaphore(_MAX_CALLS)
        self._scripts = {name: client.register_script(text) for name, text in _SCRIPTS.items()}

    async def run(self, script: str, *, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
        """Run one of the scripts in `lua/`, as one atomic step."""
        with outages_translated():
            async with asyncio.timeout(self._timeout), self._slots:
                return await self._scripts[script](keys=keys, args=args)

    async def append(self, head: Sequence[str], requests: Sequence[Request]) -> list[bytes]:
        """Run `append.lua` for each request; only the writer of this process calls this."""
        with outages_translated():
            async with asyncio.timeout(self._timeout):
                return await self._appends(head, requests)

    async def aclose(self) -> None:
        """Close the connections that the engine has opened; the client is the caller's to close."""
        await self._appends.aclose()

    async def frames(self, key: str, *, after: int, limit: int) -> list[bytes]:
        """Return at most `limit` frames after offset `after` from the log at `key`."""
        with outages_translated():
            async with asyncio.timeout(self._timeout), self._slots:
                entries = await self._client.xrange(key, min=f"{after + 1}-0", count=limit)
        return [fields[_FIELD] for _, fields in entries]

    @asynccontextmanager
    async def subscription(self) -> AsyncGenerator[Subscription]:
        """Open a connection that receives what the scripts publish; only for a shared store."""
        assert self._connection is not None  # noqa: S101 # only a shared store is subscribed to
        with outages_translated():
            async with asyncio.timeout(self._timeout):
                raw = await self._connection()
                await raw.connect()
            connection = DedicatedConnection(raw)
            try:
                yield Subscription(connection, timeout=self._timeout)
            finally:
                await connection.aclose()


@asynccontextmanager
async def open_engine(url: str, *, patience: timedelta) -> AsyncGenerator[Engine]:
    """Open the store at `url`, lazily: one that is down shows at its first use."""
    if url.startswith("memory://"):
        client = cast("Any", BurnerRedis)()
    elif "+cluster://" in url:
        url = url.replace("+cluster", "", 1)
        client = cast("Any", RedisCluster).from_url(url, **_options(patience))
    else:
        pool = cast("Any", redis.ConnectionPool).from_url(url, **_options(patience))
        client = redis.Redis.from_pool(pool)
    engine = engine_over(client, patience=patience)
    try:
        yield engine
    finally:
        await engine.aclose()
        await client.aclose()


def engine_over(client: Any, *, patience: timedelta) -> Engine:
    """Return an engine over a client of redis-py or burner-redis, which the caller closes."""
    text = _SCRIPTS["append"]
    script = client.register_script(text)
    if isinstance(client, BurnerRedis):
        return Engine(client, appends=EmbeddedAppends(script), timeout=patience)
    if isinstance(client, RedisCluster):
        appends = ClusterAppends(client, text=text, script=script)
        return Engine(
            client, appends=appends, timeout=patience, connection=partial(_any_node, client)
        )
    return Engine(
        client,
        appends=ServerAppends(client, text=text),
        timeout=patience,
        connection=partial(_server, client),
    )


async def _server(client: Any) -> Any:
    return client.connection_pool.make_connection()


async def _any_node(client: Any) -> Any:
    """Return a connection to any node: what is published on one node reaches all of them."""
    await client.initialize()
    node = random.choice(client.get_primaries())  # noqa: S311 # no secret
    return node.connection_class(**node.connection_kwargs)


def _options(patience: timedelta) -> dict[str, Any]:
    return {
        # The engine limits each call itself. With a socket timeout, redis-py waits with
        # `asyncio.wait_for`, which before Python 3.12 can swallow a cancellation.
        "socket_timeout": None,
        "socket_connect_timeout": patience.total_seconds(),
        # A pooled connection that died while idle fails at its next use: retry once, at once.
        "retry": Retry(NoBackoff(), 1),
        "driver_info": _DRIVER,
    }
