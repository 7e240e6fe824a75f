"""The store under the log: Redis, or the same commands inside this process.

The only door to `redis` and `burner_redis`. `memory://` runs burner-redis, which lacks some
commands (inside Lua: HMGET, UNLINK; outside: exclusive ranges); the scripts here use what both
have, so there is one implementation and one contract suite.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any, cast

import redis.asyncio as redis
from burner_redis import BurnerRedis  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType] # none
from hiredis import pack_command  # pyright: ignore[reportUnknownVariableType] # see _pack
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import NoScriptError, RedisError, ResponseError

from chat_app.errors import LogUnavailable

STORE_ERRORS: tuple[type[Exception], ...] = (RedisError, OSError)
"""What a store that does not answer looks like to those who use its client."""

_SCRIPTS = {path.stem: path.read_text() for path in (Path(__file__).parent / "lua").glob("*.lua")}
_FIELD = b"f"
_pack = cast("Callable[[tuple[str | bytes, ...]], bytes]", pack_command)  # typed too narrowly
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
        self._line = _Line(client, _SCRIPTS["append"]) if shared else None
        self._scripts = {name: client.register_script(text) for name, text in _SCRIPTS.items()}

    async def run(self, script: str, *, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
        """Run one of the scripts in `lua/`: one atomic step."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._scripts[script](keys=keys, args=args)
        except STORE_ERRORS as error:
            raise _unavailable(error) from error

    async def append(self, *, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
        """Run `append`, for the one writer of this process: never twice at a time."""
        if self._line is None:
            return await self.run("append", keys=keys, args=args)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._line.call(keys, args)
        except STORE_ERRORS as error:
            raise _unavailable(error) from error

    async def aclose(self) -> None:
        """Close the writer's connection; the client is its maker's to close."""
        if self._line is not None:
            await self._line.aclose()

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
            yield Subscription(pubsub, timeout=self._timeout)
        finally:
            await pubsub.aclose()


class _Line:
    """The writer's own connection, on which a script is one packed command.

    The client's way is made for single commands: it checks the connection before each, and packs
    argument by argument in Python. With all the streams of a flush in one command that is 5 µs
    per event, against 0.6.
    """

    def __init__(self, client: Any, script: str) -> None:
        self._client = client
        self._script = script
        self._sha = sha1(script.encode(), usedforsecurity=False).hexdigest()
        self._connection: Any = client.connection_pool.make_connection()

    async def call(self, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
        """Run the script; a connection that fails is made anew by the next call."""
        command = _pack(("EVALSHA", self._sha, str(len(keys)), *keys, *args))
        try:
            return await self._sent(command)
        except NoScriptError:  # a store that has restarted
            await self._client.script_load(self._script)
            return await self._sent(command)

    async def _sent(self, command: bytes) -> Any:
        connection = self._connection
        try:
            if not connection.is_connected:
                await connection.connect()
            await connection.send_packed_command([command])
            return await connection.read_response(disconnect_on_error=False)
        except (RedisError, OSError, asyncio.CancelledError) as error:
            if not isinstance(error, ResponseError):
                await connection.disconnect()
            raise

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.disconnect()


class Subscription:
    """Channels of one connection. It ends with `LogUnavailable` when the connection does."""

    def __init__(self, pubsub: Any, *, timeout: float) -> None:
        self._pubsub = pubsub
        self._timeout = timeout

    async def add(self, channel: str) -> None:
        """Receive what is published on `channel` from now on."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._pubsub.subscribe(channel)
        except STORE_ERRORS as error:
            raise _unavailable(error) from error

    async def remove(self, channel: str) -> None:
        """Receive no more of `channel`."""
        try:
            async with asyncio.timeout(self._timeout):
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
    engine = Engine(client, shared=True, timeout=patience)
    try:
        yield engine
    finally:
        await engine.aclose()
        await client.aclose()


def _unavailable(error: Exception) -> LogUnavailable:
    return LogUnavailable(f"the store of the streams does not answer ({type(error).__name__})")
