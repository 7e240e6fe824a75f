"""No fault of the store is visible in a stream that is being written.

Each fault hits a real Redis in the middle of a stream. The producer goes on appending; viewers in
its process and in another, attached before and after the fault, all get the exact bytes.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import uuid4

import anyio
import pytest
import redis.asyncio as redis

from chat_app.errors import LogUnavailable
from chat_app.streams import frame
from chat_app.streams.appender import Appender
from chat_app.streams.log import LogOptions, StreamLog, open_log
from chat_app.streams.model import Outcome, StreamId
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.anyio

OPTIONS = LogOptions(timeout=timedelta(seconds=1))
COMPLETED = Outcome(kind="completed")
TOO_LONG = 30


@pytest.fixture
async def client(own_redis: RedisServer) -> AsyncGenerator[redis.Redis]:
    """The test's own client, to inspect the store and to break it."""
    async with redis.Redis.from_url(own_redis.socket_url) as client:
        yield client


class Story:
    """A producer and its viewers, in two processes."""

    def __init__(self, here: StreamLog, elsewhere: StreamLog) -> None:
        self.here, self.elsewhere = here, elsewhere
        self.stream_id = StreamId(uuid4().hex)
        self.words: list[str] = []
        self.viewers: list[asyncio.Task[bytes]] = []  # ended by `ends_exactly`
        self.producer: Appender

    async def begin(self) -> None:
        """Write a start and some words, and attach a viewer in each process."""
        self.producer = await self.here.open(self.stream_id, token=1)
        self.producer.append({"type": "start", "messageId": "reply"})
        await self.write(20, durable=True)
        await self.join()

    async def write(self, count: int, *, durable: bool) -> None:
        """Append words; if `durable`, one event each."""
        for _ in range(count):
            word = f"w{len(self.words)} "
            self.words.append(word)
            self.producer.append_text(word, part_id="1")
            if durable:
                await self.producer.wait_flushed()

    async def join(self) -> None:
        """Attach one more viewer in each process, from the beginning."""
        for log in (self.here, self.elsewhere):
            follower = await log.follow(self.stream_id)
            first = await follower.next()
            assert first is not None

            async def rest(follower=follower, first=first) -> bytes:  # noqa: ANN001
                return b"".join([first.data, *[batch.data async for batch in follower]])

            self.viewers.append(asyncio.create_task(rest()))

    async def ends_exactly(self) -> None:
        """Write on, close, and check every viewer, late ones included."""
        await self.write(20, durable=True)
        await self.join()
        self.producer.append({"type": "finish"})
        await self.producer.close(COMPLETED)
        await self.join()
        seen = await asyncio.gather(*self.viewers)
        assert len(set(seen)) == 1
        frames = [frame.decode(piece) for piece in frame.split(seen[0])]
        assert [offset for offset, _ in frames] == list(range(1, len(frames) + 1))
        assert "".join(event.get("delta", "") for _, event in frames) == "".join(self.words)


@pytest.fixture
async def story(own_redis: RedisServer) -> AsyncGenerator[Story]:
    """A stream in progress, in two processes on one Redis."""
    async with AsyncExitStack() as stack:
        logs = [await stack.enter_async_context(open_log(own_redis.url, OPTIONS)) for _ in range(2)]
        story = Story(*logs)
        with anyio.fail_after(TOO_LONG):
            await story.begin()
            yield story


async def test_redis_restarted_empty(story: Story, own_redis: RedisServer) -> None:
    own_redis.kill()
    await story.write(20, durable=False)
    own_redis.start()

    await story.ends_exactly()


async def test_redis_restarted_empty_while_nobody_writes(
    story: Story, own_redis: RedisServer
) -> None:
    own_redis.restart()

    await story.ends_exactly()


async def test_redis_restarted_with_a_copy_some_events_old(
    story: Story, own_redis: RedisServer, client: redis.Redis
) -> None:
    await client.save()
    await story.write(20, durable=True)
    seen = story.producer.tail.end
    own_redis.restart(saved=True)
    # A viewer that lost its connection in the restart, and has more than the store has now.
    comes_back = asyncio.create_task(story.elsewhere.follow(story.stream_id, after=seen))

    await story.ends_exactly()

    with anyio.fail_after(TOO_LONG):
        first = await (await comes_back).next()
    assert first is not None
    assert frame.offset_of(first.data) == seen + 1


async def test_everything_flushed(story: Story, client: redis.Redis) -> None:
    await client.flushall()
    await story.write(20, durable=False)

    await story.ends_exactly()


async def test_everything_flushed_again_and_again(story: Story, client: redis.Redis) -> None:
    for _ in range(5):
        await client.flushall()
        await story.write(3, durable=True)

    await story.ends_exactly()


async def test_clients_paused_for_longer_than_a_time_out(story: Story, client: redis.Redis) -> None:
    await client.execute_command("CLIENT", "PAUSE", "3000", "ALL")
    await story.write(20, durable=False)

    await story.ends_exactly()


async def test_redis_frozen_for_ten_seconds(story: Story, own_redis: RedisServer) -> None:
    own_redis.pause()
    thaw = threading.Timer(10, own_redis.resume)
    thaw.start()
    await story.write(20, durable=False)

    await story.ends_exactly()
    thaw.join()


async def test_redis_out_of_memory_for_a_while(story: Story, client: redis.Redis) -> None:
    await client.config_set("maxmemory-policy", "noeviction")
    await client.config_set("maxmemory", "1")
    await story.write(20, durable=False)
    with pytest.raises(TimeoutError), anyio.fail_after(0.5):
        await story.producer.wait_flushed()
    await client.config_set("maxmemory", "0")

    await story.ends_exactly()


async def test_all_connections_killed(story: Story, client: redis.Redis) -> None:
    for _ in range(5):
        for kind in ("normal", "pubsub"):
            await client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        await story.write(3, durable=False)

    await story.ends_exactly()


async def test_connections_reset_in_the_middle_of_replies(own_redis: RedisServer) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(TcpProxy(port=own_redis.port))
        url = f"redis://127.0.0.1:{proxy.port}/0"
        logs = [await stack.enter_async_context(open_log(url, OPTIONS)) for _ in range(2)]
        story = Story(*logs)
        with anyio.fail_after(TOO_LONG):
            await story.begin()
            for replied in (1, 5, 12, 20, 33, 60):
                proxy.cut_after(replied)
                await story.write(5, durable=True)
            await story.ends_exactly()
        assert proxy.cuts >= 6


async def test_a_producer_is_bounded_while_redis_is_away(
    story: Story, own_redis: RedisServer
) -> None:
    own_redis.kill()

    async def write_a_lot() -> None:
        for _ in range(10_000):
            story.producer.append_text("x" * 1000, part_id="1")
            await story.producer.wait_for_room()

    with pytest.raises(TimeoutError), anyio.fail_after(0.5):
        await write_a_lot()


async def test_a_newcomer_is_told_to_come_back_while_redis_is_away(
    story: Story, own_redis: RedisServer
) -> None:
    own_redis.kill()

    with pytest.raises(LogUnavailable):
        await story.elsewhere.follow(StreamId("another"))
    with pytest.raises(LogUnavailable):
        await story.here.request_stop(story.stream_id)
    with pytest.raises(LogUnavailable):
        await story.here.open(StreamId("another"), token=1)


async def test_a_stop_is_heard_after_the_store_was_away(
    story: Story, own_redis: RedisServer
) -> None:
    own_redis.restart()
    await story.write(1, durable=True)

    await story.elsewhere.request_stop(story.stream_id)

    await story.producer.stop_requested.wait()
