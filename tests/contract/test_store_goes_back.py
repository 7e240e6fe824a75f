"""A store that has less than viewers have seen, or nothing: what they saw is never taken back."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import anyio
import pytest
import redis.asyncio as redis

from chat_app.errors import OffsetExpired, StreamNotFound
from chat_app.streams import frame
from chat_app.streams.appender import Appender
from chat_app.streams.follower import Follower
from chat_app.streams.keys import Keys
from chat_app.streams.log import LogOptions, StreamLog, open_log
from chat_app.streams.model import Batch, Outcome, StreamId
from chat_app.streams.tail import Tail
from tests.contract.conftest import Processes
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

COMPLETED = Outcome(kind="completed")
TOO_LONG = 10
AT_ONCE = 256 * 1024

QUIET = LogOptions(pulse=timedelta(hours=1))
"""Options of a process that restores a stream only when its producer writes."""

WATCHFUL = LogOptions(timeout=timedelta(milliseconds=400), pulse=timedelta(milliseconds=50))
PATIENCE = 3 * WATCHFUL.timeout.total_seconds()
"""Seconds that viewers wait for a stream that the store has lost."""


@pytest.fixture
async def client(own_redis: RedisServer) -> AsyncGenerator[redis.Redis]:
    """The test's own client, to inspect the store and to break it."""
    async with redis.Redis.from_url(own_redis.socket_url) as client:
        yield client


@pytest.fixture
async def here(own_redis: RedisServer) -> AsyncGenerator[StreamLog]:
    """The producer's process."""
    async with open_log(own_redis.url, QUIET) as log:
        yield log


@pytest.fixture
async def elsewhere(own_redis: RedisServer) -> AsyncGenerator[StreamLog]:
    """The viewers' process."""
    async with open_log(own_redis.url, WATCHFUL) as log:
        yield log


async def say(producer: Appender, words: int) -> None:
    """Write `words` events."""
    for _ in range(words):
        producer.append_text(f"w{producer.tail.end + 1} ", part_id="1")
        await producer.wait_flushed()


async def rest(follower: Follower) -> bytes:
    """Return all that a viewer gets from here to the end of the stream."""
    return b"".join([batch.data async for batch in follower])


async def until_seen(follower: Follower, offset: int) -> None:
    while follower.cursor < offset:
        await follower.next()


async def copies(client: redis.Redis) -> dict[bytes, bytes]:
    """Copy the store's contents, for `bring_back`."""
    return {key: await client.dump(key) for key in await client.keys()}


async def bring_back(client: redis.Redis, older: dict[bytes, bytes]) -> None:
    """Rewind the keys in `older` to their earlier values."""
    async with client.pipeline(transaction=True) as pipeline:
        for key, value in older.items():
            pipeline.restore(key, 0, value, replace=True)
        await pipeline.execute()


def text(data: bytes) -> str:
    return "".join(frame.decode(piece)[1].get("delta", "") for piece in frame.split(data))


def spoken(words: int) -> str:
    return "".join(f"w{word} " for word in range(1, words + 1))


async def test_opening_a_stream_fails_while_the_store_has_less_than_viewers_here_have_seen(
    here: StreamLog, elsewhere: StreamLog, client: redis.Redis, stream_id: StreamId
) -> None:
    await say(await here.open(stream_id, token=1), 20)
    older = await copies(client)
    producer = await here.open(stream_id, token=3)
    await say(producer, 20)
    viewer = await elsewhere.follow(stream_id, after=40)
    await bring_back(client, older)

    with anyio.fail_after(TOO_LONG):
        with pytest.raises(StreamNotFound):
            await elsewhere.open(stream_id, token=2)
        same = await elsewhere.follow(stream_id, after=40)
        assert viewer.live
        assert same.live
        await say(producer, 1)
        first = await viewer.next()

    assert first is not None
    assert (frame.offset_of(first.data), first.last) == (41, 41)


async def test_a_reload_while_the_store_has_less_gets_the_whole_stream_once_it_is_restored(
    here: StreamLog, elsewhere: StreamLog, client: redis.Redis, stream_id: StreamId
) -> None:
    await say(await here.open(stream_id, token=1), 20)
    older = await copies(client)
    producer = await here.open(stream_id, token=3)
    await say(producer, 20)
    viewer = await elsewhere.follow(stream_id, after=40)
    await bring_back(client, older)
    reload = await elsewhere.follow(stream_id, compact=True)
    # Read the reload only from here on: if it busily retried, the test could never fail.
    with pytest.raises(StreamNotFound):
        await elsewhere.open(stream_id, token=2)

    with anyio.fail_after(TOO_LONG):
        reading = asyncio.create_task(rest(reload))
        while await client.xlen(Keys.of(stream_id, prefix=WATCHFUL.prefix).log) < 40:
            assert not reading.done()
            await say(producer, 1)
        await producer.close(COMPLETED)

        assert text(await reading) == spoken(41)
        assert text(await rest(viewer)) == "w41 "


async def test_a_viewer_is_never_given_an_empty_page(
    here: StreamLog, elsewhere: StreamLog, stream_id: StreamId
) -> None:
    """With an empty page it would ask for the next one at once, in an endless loop."""
    await say(await here.open(stream_id, token=1), 3)
    follower = await elsewhere.follow(stream_id)

    with pytest.raises(OffsetExpired):
        await follower._fetch(3)


async def test_a_stream_closed_below_what_a_viewer_has_seen_is_given_up() -> None:
    async def nothing(after: int) -> list[bytes]:
        raise OffsetExpired(f"nothing follows {after}")

    tail = Tail()
    tail.extend([frame.encode(offset, b"{}") for offset in (1, 2, 3)], last=3)
    follower = Follower(tail, fetch=nothing, after=3, compact=False)
    waiting = asyncio.create_task(follower.next())
    await anyio.lowlevel.checkpoint()

    assert tail.extend([], last=2, outcome=COMPLETED)

    with anyio.fail_after(TOO_LONG), pytest.raises(StreamNotFound):
        await waiting
    assert (tail.end, tail.outcome) == (3, None)


async def test_a_viewer_that_saw_more_than_the_next_producer_closed_with_gets_an_error(
    own_redis: RedisServer,
    here: StreamLog,
    elsewhere: StreamLog,
    client: redis.Redis,
    stream_id: StreamId,
) -> None:
    first = await here.open(stream_id, token=1)
    await say(first, 20)
    older = await copies(client)
    await say(first, 20)
    viewing = asyncio.create_task(rest(await elsewhere.follow(stream_id, after=40)))
    await bring_back(client, older)

    async with open_log(own_redis.url, QUIET) as third:
        second = await third.open(stream_id, token=2)
        await second.close(COMPLETED)

    with anyio.fail_after(TOO_LONG), pytest.raises(StreamNotFound):
        await viewing


class Missed:
    """A stream older than `PATIENCE`, which a restarted Redis has lost, and its viewer."""

    def __init__(self, producer: Appender, viewing: "asyncio.Task[bytes]") -> None:
        self.producer = producer
        self.viewing = viewing  # ended by the test


@pytest.fixture
async def missed(
    own_redis: RedisServer, here: StreamLog, elsewhere: StreamLog, stream_id: StreamId
) -> Missed:
    """The moment when the viewer's process has looked for the stream in vain at least once."""
    witness_id = StreamId(f"{stream_id}-witness")
    producer = await here.open(stream_id, token=1)
    witness = await here.open(witness_id, token=1)
    await say(witness, 1)
    viewing = asyncio.create_task(rest(await elsewhere.follow(stream_id)))
    beside = await elsewhere.follow(witness_id)  # the feed checks it after the other stream
    with anyio.move_on_after(PATIENCE):
        while True:  # without pausing: the feed only asks the store about silent streams
            await say(producer, 1)
    await producer.wait_flushed()
    own_redis.restart()
    with anyio.fail_after(TOO_LONG):
        await say(witness, 1)
        await until_seen(beside, 2)
    return Missed(producer, viewing)


async def test_a_restart_cuts_nobody_off_a_stream_older_than_the_patience(missed: Missed) -> None:
    assert not missed.viewing.done()

    with anyio.fail_after(TOO_LONG):
        await say(missed.producer, 1)
        await missed.producer.close(COMPLETED)

        seen = await missed.viewing
    assert seen == b"".join(missed.producer.tail.frames(after=0))


async def test_a_lost_stream_that_is_not_restored_in_time_is_given_up(missed: Missed) -> None:
    assert not missed.viewing.done()

    with anyio.fail_after(TOO_LONG), pytest.raises(StreamNotFound):
        await missed.viewing


LENGTHS = [100_000, 100_000, 100_000, 400_000, 1, 100_000, 200_000]


async def long_stream(log: StreamLog, stream_id: StreamId) -> bytes:
    """Write a stream whose parts do not merge; each has one event, but the fourth has 40."""
    producer = await log.open(stream_id, token=1)
    producer.append({"type": "start", "messageId": "reply"})
    for part, length in enumerate(LENGTHS):
        for piece in [length // 40] * 40 if part == 3 else [length]:
            producer.append_text(str(part) * piece, part_id=str(part))
            await producer.wait_flushed()
    producer.append({"type": "finish"})
    await producer.close(COMPLETED)
    return b"".join(producer.tail.frames(after=0))


async def replay(log: StreamLog, stream_id: StreamId) -> list[Batch]:
    with anyio.fail_after(TOO_LONG):
        return [batch async for batch in await log.follow(stream_id, compact=True)]


async def test_a_compacted_replay_comes_in_pieces(
    processes: Processes, stream_id: StreamId
) -> None:
    whole = await long_stream(processes.here, stream_id)

    pieces = await replay(processes.elsewhere, stream_id)

    sizes = [(len(piece.data), len(frame.split(piece.data))) for piece in pieces]
    assert all(size <= AT_ONCE or events == 1 for size, events in sizes)
    assert [piece.last for piece in pieces] == [3, 4, 44, 46, 48]
    data = b"".join(piece.data for piece in pieces)
    assert [frame.offset_of(event) for event in frame.split(data)] == [
        1,
        2,
        3,
        4,
        44,
        45,
        46,
        47,
        48,
    ]
    assert text(data) == text(whole)


async def test_a_compacted_replay_that_is_cut_goes_on_behind_any_piece(
    processes: Processes, stream_id: StreamId
) -> None:
    whole = await long_stream(processes.here, stream_id)

    pieces = await replay(processes.elsewhere, stream_id)

    assert len(pieces) > 1
    seen = ""
    for piece in pieces:
        seen += text(piece.data)
        after = await processes.elsewhere.follow(stream_id, after=piece.last)
        assert seen + text(await rest(after)) == text(whole)


async def test_viewers_that_are_equally_far_behind_share_the_merged_frames(
    processes: Processes, stream_id: StreamId
) -> None:
    await long_stream(processes.here, stream_id)
    held = await processes.elsewhere.follow(stream_id)  # keeps the tail alive, as any viewer does

    one, other = [await replay(processes.elsewhere, stream_id) for _ in range(2)]

    [large] = [piece.data for piece in one if len(piece.data) > AT_ONCE]
    assert any(piece.data is large for piece in other)
    assert not held.live


async def test_a_producer_that_left_restores_nothing(
    own_redis: RedisServer, client: redis.Redis, stream_id: StreamId
) -> None:
    async with open_log(own_redis.url, WATCHFUL) as log:
        left = await log.open(stream_id, token=1)
        await say(left, 2)
        older = await copies(client)
        await say(left, 2)
        await log.leave(left)
        await bring_back(client, older)
        # Within two pulses the writer would restore a stream that it still had a producer for.
        witness_id = StreamId(f"{stream_id}-witness")
        witness = await log.open(witness_id, token=1)
        with anyio.fail_after(TOO_LONG):
            for _ in range(2):
                await say(witness, 1)
                await client.delete(*Keys.of(witness_id, prefix=WATCHFUL.prefix))
                while not await client.exists(Keys.of(witness_id, prefix=WATCHFUL.prefix).state):
                    pass

        assert (await log.state(stream_id)).tail == 2
        assert left.tail.end == 4


@pytest.mark.parametrize("how", ["left", "fenced"])
async def test_a_producer_given_up_during_the_ownership_check_restores_nothing(
    here: StreamLog, client: redis.Redis, stream_id: StreamId, how: str
) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def still_owner() -> bool:
        asked.set()
        return await answer.wait()

    producer = await here.open(stream_id, token=1, still_owner=still_owner)
    await say(producer, 2)
    await client.flushall()
    producer.append_text("unseen", part_id="1")
    with anyio.fail_after(TOO_LONG):
        await asked.wait()
        if how == "left":
            await here.leave(producer)
        else:
            producer.fence()
        answer.set()
        # If it restored the stream, it would do so with the second of these flushes at the latest.
        await say(await here.open(StreamId(f"{stream_id}-beside"), token=1), 2)

    with pytest.raises(StreamNotFound):
        await here.state(stream_id)


@pytest.mark.parametrize("gap", ["found meanwhile", "known before"])
def test_a_fenced_producer_does_not_fill_a_gap_in_the_store(stream_id: StreamId, gap: str) -> None:
    async def still_owner() -> bool:
        return True

    woken: list[Appender] = []
    keys = Keys.of(stream_id, prefix="chat")
    producer = Appender(
        stream_id, token=1, tail=Tail(), keys=keys, wake=woken.append, still_owner=still_owner
    )
    producer.append_text("seen", part_id="1")
    producer.next_request()
    producer.on_reply(b"ok")
    producer.append_text("unseen", part_id="1")
    before = producer.next_request()

    if gap == "known before":
        producer.on_reply(b"gap")
        assert producer.next_request() != before
    asked = len(woken)
    producer.fence()
    if gap == "found meanwhile":
        producer.on_reply(b"gap")

    assert producer.next_request() == before  # an appender already marked dirty is asked once more
    assert len(woken) == asked
