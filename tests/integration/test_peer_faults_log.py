"""Faults of resumable-stream 2.2.13 (npm) that show in its Redis commands, applied to our log.

    20 viewers attach and leave       20 PUBLISH per token while they look, and 20 ever after
    a backlog of 42 MB is resumed     Redis closes the subscription: 28 of 600,100 tokens come, and
                                      the viewer of another chat silently loses 11
    a reader stalls                   the same, for everything that this process looks at

Two logs share one real Redis, as in two server processes. `test_peer_faults.py` has the rest.
"""

import asyncio
import gc
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio
import pytest
import redis.asyncio as redis

from chat_app.streams import frame
from chat_app.streams.appender import Appender
from chat_app.streams.log import LogOptions, StreamLog, open_log
from chat_app.streams.model import Outcome, StreamId
from tests.support.reading import everything
from tests.support.redis_server import RedisServer, running_redis
from tests.support.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

OPTIONS = LogOptions(timeout=timedelta(seconds=2), pulse=timedelta(milliseconds=500))
COMPLETED = Outcome(kind="completed")
TOO_LONG = 60


@pytest.fixture
def counted_redis() -> Iterator[RedisServer]:
    """A Redis without other clients, so that its commands can be counted."""
    # It closes a subscriber's connection once 1 MB of output is pending.
    with running_redis(client_output_buffer_limit="pubsub 1mb 1mb 1") as server:
        yield server


@pytest.fixture
async def client(counted_redis: RedisServer) -> AsyncGenerator[redis.Redis]:
    async with redis.Redis.from_url(counted_redis.socket_url) as client:
        yield client


@pytest.fixture
async def proxy(counted_redis: RedisServer) -> AsyncGenerator[TcpProxy]:
    """A proxy between Redis and `elsewhere`."""
    async with TcpProxy(port=counted_redis.port) as proxy:
        yield proxy


@pytest.fixture
async def logs(
    counted_redis: RedisServer, proxy: TcpProxy
) -> AsyncGenerator[tuple[StreamLog, StreamLog]]:
    """The logs here, where everything is produced, and elsewhere."""
    async with AsyncExitStack() as stack:
        urls = (counted_redis.url, f"redis://127.0.0.1:{proxy.port}/0")
        here, elsewhere = [await stack.enter_async_context(open_log(url, OPTIONS)) for url in urls]
        yield here, elsewhere


async def begun(log: StreamLog) -> Appender:
    producer = await log.open(StreamId(uuid4().hex), token=1)
    await say(producer, "hello ")
    return producer


async def say(producer: Appender, *texts: str) -> None:
    """Append each of `texts` as a separate event."""
    for text in texts:
        producer.append_text(text, part_id="1")
        await producer.wait_flushed()


async def all_frames(log: StreamLog, stream_id: StreamId) -> list[bytes]:
    return frame.split(await everything(log, stream_id))


def whole(producer: Appender) -> list[bytes]:
    """Return all frames of a stream, from its producer's tail."""
    return producer.tail.frames(after=0)


async def calls(client: redis.Redis) -> dict[str, int]:
    """Return how often each command was run, by scripts too."""
    stats: Any = await client.info("commandstats")
    return {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()}


async def cost(client: redis.Redis, producer: Appender, *, events: int) -> dict[str, int]:
    """Return the commands it takes to append an event, averaged over `events`, one per flush."""
    before = await calls(client)
    await say(producer, *(f"w{number} " for number in range(events)))
    after = await calls(client)
    each = {name: round((count - before.get(name, 0)) / events) for name, count in after.items()}
    return {name: count for name, count in each.items() if count}


async def watchers(client: Any, producer: Appender) -> int:
    state = await client.hgetall(producer.keys.state)
    return len(state.get(b"watched", b"").split())


async def test_twenty_viewers_attach_and_leave(
    logs: tuple[StreamLog, StreamLog], client: redis.Redis
) -> None:
    here, elsewhere = logs
    producer = await begun(here)
    alone = await cost(client, producer, events=100)

    async with following(elsewhere, producer, viewers=20):
        while not await watchers(client, producer):
            await say(producer, "are you there? ")
        watched = await cost(client, producer, events=100)
    gc.collect()
    with anyio.fail_after(TOO_LONG):
        while await watchers(client, producer):
            await say(producer, "are you still there? ")
    left = await cost(client, producer, events=100)

    assert watched == {**alone, "publish": 1}
    assert left == alone


@asynccontextmanager
async def following(log: StreamLog, producer: Appender, *, viewers: int) -> AsyncGenerator[None]:
    """Attach `viewers` viewers that leave at the end of the block."""
    async with asyncio.TaskGroup() as tasks:
        followers = [tasks.create_task(all_frames(log, producer.stream_id)) for _ in range(viewers)]
        yield
        for follower in followers:
            follower.cancel()


async def test_a_backlog_of_42_mb_is_resumed_beside_the_viewer_of_another_chat(
    logs: tuple[StreamLog, StreamLog],
) -> None:
    here, elsewhere = logs
    long, other = await begun(here), await begun(here)
    for number in range(60_000):
        long.append_text(f"{number:07} " + "x" * 640, part_id=str(number % 2))
        await long.wait_for_room()
    await long.wait_flushed()
    assert sum(map(len, whole(long))) > 42_000_000

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(all_frames(elsewhere, other.stream_id))
        await say(other, "watched? ")
        resuming = tasks.create_task(all_frames(elsewhere, long.stream_id))
        for number in range(250):
            await say(other, f"w{number} ")
            long.append_text("more ", part_id="1")
        await long.close(COMPLETED)
        await other.close(COMPLETED)

    assert watching.result() == whole(other)
    assert resuming.result() == whole(long)


async def test_a_process_stalls_until_redis_closes_its_subscription(
    logs: tuple[StreamLog, StreamLog], client: redis.Redis, proxy: TcpProxy
) -> None:
    here, elsewhere = logs
    long, other = await begun(here), await begun(here)
    async with asyncio.TaskGroup() as tasks:
        viewers = [
            tasks.create_task(all_frames(elsewhere, producer.stream_id))
            for producer in (long, other)
        ]
        while not (await watchers(client, long) and await watchers(client, other)):
            await say(long, "are you there? ")
        assert len(await client.client_list(_type="pubsub")) == len(logs)
        proxy.hold()
        # More than the kernel buffers for a connection that is not read.
        with anyio.fail_after(TOO_LONG):
            while len(await client.client_list(_type="pubsub")) == len(logs):
                await say(long, "x" * 100_000)
                await say(other, "unheard ")
        proxy.release()
        await say(other, "heard")
        await long.close(COMPLETED)
        await other.close(COMPLETED)

    assert viewers[0].result() == whole(long)
    assert viewers[1].result() == whole(other)
