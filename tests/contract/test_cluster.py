"""Failures that only a Redis Cluster can cause."""

import asyncio
import gc
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
import redis
from redis.asyncio.cluster import ClusterNode

from chat_app.streams import frame
from chat_app.streams.log import StreamLog, open_log
from chat_app.streams.model import Outcome, StreamId
from tests.contract.conftest import OPTIONS
from tests.support.reading import everything
from tests.support.redis_cluster import RedisCluster

# While a node is away redis-py drops connections without closing them; the collector closes them.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::ResourceWarning")]

TOO_LONG = 30
STREAMS = 60  # enough for each of the three nodes to hold some


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    """A cluster that the test may break."""
    with tempfile.TemporaryDirectory(prefix="cluster-", dir="/tmp") as folder:
        cluster = RedisCluster(folder=Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()


@pytest.fixture
async def logs(cluster: RedisCluster) -> AsyncIterator[tuple[StreamLog, StreamLog]]:
    """The logs of two server processes."""
    url = cluster.url.replace("://", "+cluster://")
    async with open_log(url, OPTIONS) as here, open_log(url, OPTIONS) as elsewhere:
        yield here, elsewhere
    for forgotten in [thing for thing in gc.get_objects() if isinstance(thing, ClusterNode)]:
        await forgotten.disconnect()


async def write(log: StreamLog, stream_id: StreamId, halfway: asyncio.Event) -> None:
    producer = await log.open(stream_id, token=1)
    for word in range(10):
        producer.append_text(f"{word} ", part_id="1")
        await producer.wait_flushed()
    await halfway.wait()
    for word in range(10, 20):
        producer.append_text(f"{word} ", part_id="1")
        await producer.wait_flushed()
    await producer.close(Outcome(kind="completed"))


def text(data: bytes) -> str:
    frames = frame.split(data)
    assert [frame.offset_of(piece) for piece in frames] == list(range(1, len(frames) + 1))
    return "".join(frame.decode(piece)[1]["delta"] for piece in frames)


async def test_the_streams_of_all_nodes_ride_through_the_restart_of_one_node(
    cluster: RedisCluster, logs: tuple[StreamLog, StreamLog]
) -> None:
    here, elsewhere = logs
    ids = [StreamId(f"stream{number}") for number in range(STREAMS)]
    for stream_id in ids:
        await here.create(stream_id)
    halfway = asyncio.Event()

    with anyio.fail_after(TOO_LONG):
        async with asyncio.TaskGroup() as tasks:
            for stream_id in ids:
                tasks.create_task(write(here, stream_id, halfway))
            readers = [tasks.create_task(everything(elsewhere, stream_id)) for stream_id in ids]
            for stream_id in ids:
                follower = await elsewhere.follow(stream_id)
                while follower.cursor < 10:
                    await follower.next()
            held = [len(keys_of(node.url)) for node in cluster.nodes]
            cluster.nodes[0].restart()  # empty, without streams or scripts
            await asyncio.to_thread(cluster.wait_until_up)
            halfway.set()

    assert all(held), "the streams are not on every node"
    whole = "".join(f"{word} " for word in range(20))
    assert {text(reader.result()) for reader in readers} == {whole}
    late = [await everything(elsewhere, stream_id) for stream_id in ids]
    assert late == [reader.result() for reader in readers]


def keys_of(url: str) -> list[bytes]:
    with redis.Redis.from_url(url) as node:
        return node.keys()  # pyright: ignore[reportReturnType] # typed for both clients
