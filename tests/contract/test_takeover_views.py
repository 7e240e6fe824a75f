"""What viewers see of a takeover, wherever they are and however late the old producer is.

Three processes share one Redis. The old producer is cut off in the middle of its appends, or its
process hears nothing from the store for a while, and a new producer takes over elsewhere. Viewers
in the old producer's process, in the new one's and in a third see exactly the log.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import anyio
import pytest

from chat_app.errors import Fenced
from chat_app.streams import frame
from chat_app.streams.appender import Appender
from chat_app.streams.log import LogOptions, StreamLog, open_log
from chat_app.streams.model import Outcome, StreamId
from tests.support.reading import everything
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.anyio

OPTIONS = LogOptions(timeout=timedelta(seconds=1), pulse=timedelta(milliseconds=100))
COMPLETED = Outcome(kind="completed")
TOO_LONG = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Three processes; the first two reach Redis through proxies."""

    a: StreamLog
    b: StreamLog
    c: StreamLog
    to_a: TcpProxy
    to_b: TcpProxy

    def logs(self) -> tuple[StreamLog, StreamLog, StreamLog]:
        return self.a, self.b, self.c


@pytest.fixture
async def world(redis_server: RedisServer, redis_url: str) -> AsyncGenerator[World]:
    async with AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(TcpProxy(port=redis_server.port)) for _ in range(2)
        ]
        urls = [*(f"redis://127.0.0.1:{proxy.port}/0" for proxy in proxies), redis_url]
        a, b, c = [await stack.enter_async_context(open_log(url, OPTIONS)) for url in urls]
        yield World(a=a, b=b, c=c, to_a=proxies[0], to_b=proxies[1])


async def say(producer: Appender, *words: str) -> None:
    for word in words:
        producer.append_text(word, part_id="1")
        await producer.wait_flushed()


def text(data: bytes) -> str:
    return "".join(frame.decode(piece)[1]["delta"] for piece in frame.split(data))


async def end(world: World, new: Appender, viewers: list[asyncio.Task[bytes]]) -> bytes:
    """Write on and close; return what all viewers, late ones included, have seen."""
    with anyio.fail_after(TOO_LONG):
        await say(new, *(f"n{number} " for number in range(10)))
        await new.close(COMPLETED)
        seen = [await viewer for viewer in viewers]
        seen += [await everything(log, new.stream_id) for log in world.logs()]
    (whole,) = set(seen)
    offsets = [frame.offset_of(piece) for piece in frame.split(whole)]
    assert offsets == list(range(1, len(offsets) + 1))
    return whole


async def attached(world: World, producer: Appender) -> list[asyncio.Task[bytes]]:
    """Return a viewer in each process, all of them up to date."""
    for log in world.logs():
        follower = await log.follow(producer.stream_id)
        await follower.next()
    return [asyncio.create_task(everything(log, producer.stream_id)) for log in world.logs()]


async def test_the_last_appends_of_a_killed_producer_are_seen_once(
    world: World, stream_id: StreamId
) -> None:
    old = await world.a.open(stream_id, token=1)
    await say(old, "o0 ", "o1 ")
    viewers = await attached(world, old)
    # Redis takes an append, but the producer and the viewers in its process do not learn of it.
    world.to_a.hold()
    old.append_text("landed ", part_id="1")
    with anyio.fail_after(TOO_LONG):
        while (await world.c.state(stream_id)).tail == old.tail.end:
            pass
    new = await world.b.open(stream_id, token=2)
    await say(new, "n ")
    world.to_a.cut_all()
    world.to_a.release()

    with anyio.fail_after(TOO_LONG), pytest.raises(Fenced):
        await old.wait_flushed()
    whole = await end(world, new, viewers)

    assert text(whole).startswith("o0 o1 landed n n0 ")


async def test_pushes_that_come_after_the_takeover_change_nothing(
    world: World, stream_id: StreamId
) -> None:
    old = await world.a.open(stream_id, token=1)
    await say(old, "o0 ", "o1 ")
    viewers = await attached(world, old)
    # The new producer takes over before its process has received the newest events.
    world.to_b.hold()
    await say(old, "o2 ", "o3 ")
    opening = asyncio.create_task(world.b.open(stream_id, token=2))
    await anyio.lowlevel.checkpoint()
    world.to_b.release()
    with anyio.fail_after(TOO_LONG):
        new = await opening

    with anyio.fail_after(TOO_LONG), pytest.raises(Fenced):
        await say(old, *("late " for _ in range(1000)))
    whole = await end(world, new, viewers)

    assert text(whole).startswith("o0 o1 o2 o3 ")
    assert text(whole).endswith("".join(f"n{number} " for number in range(10)))


async def test_a_frozen_process_that_wakes_up_shows_what_was_written_without_it(
    world: World, stream_id: StreamId
) -> None:
    old = await world.a.open(stream_id, token=1)
    await say(old, "o0 ", "o1 ")
    viewers = await attached(world, old)
    world.to_a.hold()
    new = await world.b.open(stream_id, token=2)
    await say(new, *(f"m{number} " for number in range(50)))
    old.append_text("never ", part_id="1")
    world.to_a.release()

    with anyio.fail_after(TOO_LONG), pytest.raises(Fenced):
        await old.close(COMPLETED)
    whole = await end(world, new, viewers)

    assert "never" not in text(whole)
    assert text(whole).startswith("o0 o1 m0 m1 ")


async def test_a_stream_taken_over_back_and_forth_reads_the_same_everywhere(
    world: World, stream_id: StreamId
) -> None:
    producer = await world.a.open(stream_id, token=1)
    await say(producer, "w0 ")
    viewers = await attached(world, producer)
    for turn in range(1, 31):
        before = producer
        producer = await world.logs()[turn % 3].open(stream_id, token=turn + 1)
        await say(producer, f"w{turn} ")
        before.append_text("late ", part_id="1")
        with anyio.fail_after(TOO_LONG), pytest.raises(Fenced):
            await before.wait_flushed()

    whole = await end(world, producer, viewers)

    assert text(whole).startswith("".join(f"w{turn} " for turn in range(31)))
    assert "late" not in text(whole)
