"""The store under the log: Redis, or the same commands inside this process.

The only door to `redis` and `burner_redis`. `memory://` runs burner-redis, which lacks some
commands (inside Lua: HMGET, UNLINK; outside: exclusive ranges); the scripts here use what both
have, so there is one implementation and one contract suite.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import redis.asyncio as redis
from burner_redis import BurnerRedis  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] # none
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError

from chat_app.errors import LogUnavailable

STORE_ERRORS: tuple[type[Exception], ...] = (RedisError, OSError)
"""What a store that does not answer looks like to those who use its client."""

_SCRIPTS = {path.stem: path.read_text() for path in (Path(__file__).parent / "lua").glob("*.lua")}
_FIELD = b"f"
_DRIVER = DriverInfo()  # reads the disk when it is made, so not once per connection


class Engine:
    """The few things the log needs of its store.

    Raises `LogUnavailable` wherever the store does not answer within the time-out. Every script
    may be sent again after that: each one recognises what it has done already.

    Attributes:
        shared: Other processes see this store too.
    """

    def __init__(self, client: Any, *, shared: bool, timeout: timedelta) -> None:
        self.shared = shared
        self._client = client
        self._timeout = timeout.total_seconds()
        self._scripts = {name: client.register_script(text) for name, text in _SCRIPTS.items()}

    async def run(self, script: str, *, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
        """Run one of the scripts in `lua/`: one atomic step."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._scripts[script](keys=keys, args=args)
        except STORE_ERRORS as error:
            raise _unavailable(error) from error

    async def frames(self, key: str, *, after: int, limit: int) -> list[bytes]:
        """The frames of the log at `key` behind offset `after`, at most `limit` of them."""
        try:
            async with asyncio.timeout(self._timeout):
                entries = await self._client.xrange(key, min=f"{after + 1}-0", count=limit)
        except STORE_ERRORS as error:
            raise _unavailable(error) from error
        return [fields[_FIELD] for _, fields in entries]

    @asynccontextmanager
    async def subscription(self) -> AsyncGenerator["Subscription"]:
        """A connection that receives what the scripts publish."""
        pubsub = self._client.pubsub()
        try:
            yield Subscription(pubsub)
        finally:
            await pubsub.aclose()


class Subscription:
    """Channels of one connection. It ends with `LogUnavailable` when the connection does."""

    def __init__(self, pubsub: Any) -> None:
        self._pubsub = pubsub

    async def add(self, channel: str) -> None:
        """Receive what is published on `channel` from now on."""
        try:
            await self._pubsub.subscribe(channel)
        except STORE_ERRORS as error:
            raise _unavailable(error) from error

    async def remove(self, channel: str) -> None:
        """Receive no more of `channel`."""
        try:
            await self._pubsub.unsubscribe(channel)
        except STORE_ERRORS as error:
            raise _unavailable(error) from error

    async def next(self, *, within: float) -> tuple[str, bytes | None] | None:
        """The next channel and what was published on it; None if there was nothing for a while.

        Args:
            within: Seconds to wait.

        A payload of None says that the channel is subscribed from here on: the first time, and
        again after each time the connection was lost and made anew.
        """
        try:
            message = await self._pubsub.get_message(timeout=within)
        except STORE_ERRORS as error:
            raise _unavailable(error) from error
        if message is None or message["type"] not in {"message", "subscribe"}:
            return None
        data = message["data"] if message["type"] == "message" else None
        return message["channel"].decode(), data


@asynccontextmanager
async def open_engine(url: str, *, patience: timedelta) -> AsyncGenerator[Engine]:
    """Connect to the store at `url`, lazily: a store that is away is found out by its first use."""
    if url.startswith("memory://"):
        memory = cast("Any", BurnerRedis)()
        try:
            yield Engine(memory, shared=False, timeout=patience)
        finally:
            await memory.aclose()
        return
    pool = cast("Any", redis.BlockingConnectionPool).from_url(
        url,
        max_connections=32,
        timeout=None,
        # The engine limits each call itself. With a socket time-out the client waits by
        # `asyncio.wait_for`, which before Python 3.12 can swallow a cancellation.
        socket_timeout=None,
        socket_connect_timeout=patience.total_seconds(),
        # A pooled connection that died while idle shows at its next use: once more, at once.
        retry=Retry(NoBackoff(), 1),
        driver_info=_DRIVER,
    )
    client = redis.Redis.from_pool(pool)
    try:
        yield Engine(client, shared=True, timeout=patience)
    finally:
        await client.aclose()


def _unavailable(error: Exception) -> LogUnavailable:
    return LogUnavailable(f"the store of the streams does not answer ({type(error).__name__})")
