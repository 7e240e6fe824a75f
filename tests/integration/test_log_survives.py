"""What the log's tasks survive: unforeseen errors, and a store that stops responding."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import timedelta

import anyio
import pytest
import redis.asyncio as redis

from chat_app.errors import Fenced
from chat_app.streams import frame
from chat_app.streams.appender import Appender
from chat_app.streams.engine import open_engine
from chat_app.streams.log import LogOptions, StreamLog, open_log, serve_log
from chat_app.streams.model import Outcome, StreamId
from tests.support.failing_engine import FailingEngine
from tests.support.reading import everything
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.anyio

OPTIONS = LogOptions(timeout=timedelta(milliseconds=500), pulse=timedelta(milliseconds=50))
COMPLETED = Outcome(kind="completed")
STREAM = StreamId("s")
TOO_LONG = 20


@pytest.fixture
async def client(own_redis: RedisServer) -> AsyncGenerator[redis.Redis]:
    async with redis.Redis.from_url(own_redis.socket_url) as client:
        yield client


@pytest.fixture
async def engine(own_redis: RedisServer) -> AsyncGenerator[FailingEngine]:
    async with open_engine(own_redis.url, patience=OPTIONS.timeout) as engine:
        yield FailingEngine(engine)


@pytest.fixture
async def log(engine: FailingEngine) -> AsyncGenerator[StreamLog]:
    """The log over the failing engine."""
    async with serve_log(engine, OPTIONS) as log:
        yield log


@pytest.fixture
async def elsewhere(own_redis: RedisServer) -> AsyncGenerator[StreamLog]:
    """Another process, where nothing fails."""
    async with open_log(own_redis.url, OPTIONS) as log:
        yield log


async def say(producer: Appender, *words: str) -> None:
    for word in words:
        producer.append_text(word, part_id="1")
        await producer.wait_flushed()


def text(data: bytes) -> str:
    return "".join(frame.decode(piece)[1]["delta"] for piece in frame.split(data))


async def test_the_writer_survives_an_unforeseen_error(
    log: StreamLog, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    producer = await log.open(STREAM, token=1)
    engine.failures["append"] = 3
    with anyio.fail_after(TOO_LONG):
        await say(producer, "one ", "two")
        await producer.close(COMPLETED)

    assert text(await everything(log, STREAM)) == "one two"
    assert caplog.text.count("a flush failed") == 3


@pytest.mark.parametrize("call", ["next", "run"])
async def test_the_feed_survives_an_unforeseen_error(
    log: StreamLog,
    elsewhere: StreamLog,
    engine: FailingEngine,
    caplog: pytest.LogCaptureFixture,
    call: str,
) -> None:
    producer = await elsewhere.open(STREAM, token=1)
    await say(producer, "one ")
    viewing = asyncio.create_task(everything(log, STREAM))
    follower = await log.follow(STREAM)
    await follower.next()
    engine.failures[call] = 2
    with anyio.fail_after(TOO_LONG):
        while engine.failures[call]:  # silence makes the feed ask the log; writing makes it receive
            if call == "next":
                await say(producer, "more ")
            await anyio.lowlevel.checkpoint()
    await say(producer, "two")
    await producer.close(COMPLETED)

    seen = await viewing

    assert seen == await everything(elsewhere, STREAM)
    assert text(seen).startswith("one ")
    assert text(seen).endswith("two")
    assert "failed; retrying" in caplog.text


@pytest.mark.parametrize("owner", [True, False])
async def test_a_producer_asks_until_it_knows_who_owns_the_lost_stream(
    log: StreamLog, elsewhere: StreamLog, client: redis.Redis, owner: bool
) -> None:
    asked: list[bool] = []

    async def still_owner() -> bool:
        asked.append(True)
        if len(asked) == 1:
            raise RuntimeError("the database is away")
        return owner

    producer = await log.open(STREAM, token=1, still_owner=still_owner)
    await say(producer, "one ")
    await client.flushall()
    producer.append_text("two", part_id="1")
    with anyio.fail_after(TOO_LONG):
        if not owner:
            with pytest.raises(Fenced):
                await producer.close(COMPLETED)
            assert await client.dbsize() == 0
            return
        await producer.close(COMPLETED)

    assert text(await everything(elsewhere, STREAM)) == "one two"


async def test_the_log_reconnects_to_a_store_that_has_fallen_silent(
    own_redis: RedisServer, elsewhere: StreamLog, client: redis.Redis
) -> None:
    async with TcpProxy(port=own_redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        async with open_log(url, OPTIONS) as log:
            producer = await elsewhere.open(STREAM, token=1)
            await say(producer, "one ")
            viewing = asyncio.create_task(everything(log, STREAM))
            follower = await log.follow(STREAM)
            await follower.next()
            before = await subscribers(client)
            proxy.hold()
            with anyio.fail_after(TOO_LONG):
                while before <= await subscribers(client):
                    await say(producer, "unheard ")
            proxy.release()
            await say(producer, "two")
            await producer.close(COMPLETED)

            assert await viewing == await everything(elsewhere, STREAM)


async def subscribers(client: redis.Redis) -> set[str]:
    """Return the ids of the subscribed connections."""
    return {known["id"] for known in await client.client_list(_type="pubsub")}


async def test_the_wait_for_a_store_that_freezes_before_the_subscription_is_bounded(
    own_redis: RedisServer, elsewhere: StreamLog
) -> None:
    producer = await elsewhere.open(STREAM, token=1)
    await say(producer, "one ")
    own_redis.pause()
    try:
        async with AsyncExitStack() as stack:
            with anyio.fail_after(TOO_LONG):
                log = await stack.enter_async_context(open_log(own_redis.url, OPTIONS))
                with pytest.raises(Exception, match="does not answer"):
                    await log.follow(STREAM)
            own_redis.resume()
            viewing = asyncio.create_task(everything(log, STREAM))
            producer.append_text("two", part_id="1")
            with anyio.fail_after(TOO_LONG):
                await producer.close(COMPLETED)

            assert text(await viewing) == "one two"
    finally:
        own_redis.resume()
