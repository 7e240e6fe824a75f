"""The feed stays correct while producers and viewers come and go."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import anyio
import pytest
import redis.asyncio as redis

from chat_app.streams.follower import Follower
from chat_app.streams.log import LogOptions, open_log
from chat_app.streams.model import Outcome, StreamId
from tests.support.reading import everything
from tests.support.redis_server import running_redis

pytestmark = pytest.mark.anyio
OPTIONS = LogOptions(timeout=timedelta(seconds=2), pulse=timedelta(milliseconds=50))
COMPLETED = Outcome(kind="completed")


async def test_a_process_that_follows_a_stream_before_opening_it_does_not_push_to_itself() -> None:
    """As in a POST: follow the stream, then have a worker, often of the same process, open it."""
    with running_redis() as server:
        async with open_log(server.url, OPTIONS) as log, redis.Redis.from_url(server.url) as client:
            stream_id = StreamId(uuid4().hex)
            await log.create(stream_id)
            viewer = asyncio.create_task(everything(log, stream_id))
            while not await client.hexists(f"chat:{{{stream_id}}}:state", "watched"):  # pyright: ignore[reportGeneralTypeIssues] # typed for both clients
                pass
            producer = await log.open(stream_id, token=1)
            before = (await client.info("commandstats")).get("cmdstat_publish", {"calls": 0})[
                "calls"
            ]
            for _ in range(50):
                producer.append_text("hello", part_id="1")
                await producer.wait_flushed()
            after = (await client.info("commandstats")).get("cmdstat_publish", {"calls": 0})[
                "calls"
            ]
            await producer.close(COMPLETED)
            await viewer
            assert after - before == 0


async def test_a_viewer_that_arrives_while_the_feed_checks_other_streams_gets_its_events() -> None:
    with running_redis() as server:
        async with open_log(server.url, OPTIONS) as here, open_log(server.url, OPTIONS) as there:
            silent: list[Follower] = []
            for _ in range(300):
                stream_id = StreamId(uuid4().hex)
                await here.create(stream_id)
                silent.append(await there.follow(stream_id))
            producer = await here.open(StreamId("y"), token=1)
            producer.append_text("a", part_id="1")
            await producer.wait_flushed()
            for n in range(300):
                follower = await there.follow(StreamId("y"), after=producer.tail.end)
                producer.append_text("b", part_id="1")
                await producer.wait_flushed()
                with anyio.fail_after(3):
                    assert await follower.next() is not None, n
                del follower
