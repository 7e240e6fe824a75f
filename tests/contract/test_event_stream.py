"""A viewer's response, on a connection that accepts, holds back, fails or closes."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from chat_app.api.sse import EventStream
from chat_app.streams import frame
from chat_app.streams.appender import Appender
from chat_app.streams.log import StreamLog
from chat_app.streams.model import Outcome, StreamId
from tests.support.reading import everything

pytestmark = pytest.mark.anyio

TOO_LONG = 10
COMPLETED = Outcome(kind="completed")


class Server:
    """The HTTP server's side of one request: accepts what is sent, or holds it back."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ended = False
        self.open = asyncio.Event()  # while cleared, `send` waits
        self.open.set()
        self.gone = asyncio.Event()
        self.broken = False
        self._changed = asyncio.Event()

    async def send(self, message: Any) -> None:
        await self.open.wait()
        if self.broken:
            raise OSError("the client is gone")
        self.sent.append(message.get("body", b""))
        self.ended = message.get("more_body") is False
        self._changed.set()

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)

    async def until(self, text: bytes) -> None:
        """Wait until `text` has been sent."""
        with anyio.fail_after(TOO_LONG):
            while text not in self.body:
                self._changed.clear()
                await self._changed.wait()


class Viewing:
    """A response in progress."""

    def __init__(self, server: Server, task: "asyncio.Task[None]") -> None:
        self.server = server
        self.task = task

    async def done(self) -> None:
        with anyio.fail_after(TOO_LONG):
            await self.task


@pytest.fixture
async def producer(log: StreamLog, stream_id: StreamId) -> Appender:
    producer = await log.open(stream_id, token=1)
    producer.append({"type": "start", "messageId": "reply"})
    await producer.wait_flushed()
    return producer


@pytest.fixture
async def viewing(
    log: StreamLog, stream_id: StreamId, producer: Appender
) -> AsyncGenerator[Viewing]:
    """A viewer that has seen everything in a stream that has begun."""
    viewing = await view(log, stream_id)
    await viewing.server.until(b'"start"')
    yield viewing
    viewing.task.cancel()
    await asyncio.wait([viewing.task])


async def view(
    log: StreamLog,
    stream_id: StreamId,
    *,
    heartbeat: timedelta = timedelta(seconds=60),
    lifetime: timedelta | None = None,
) -> Viewing:
    server = Server()
    follower = await log.follow(stream_id)
    response = EventStream(follower, heartbeat=heartbeat, headers={}, lifetime=lifetime)
    task = asyncio.ensure_future(response({}, server.receive, server.send))
    return Viewing(server, task)


async def say(producer: Appender, *words: str) -> None:
    for word in words:
        producer.append_text(word, part_id="1")
        await producer.wait_flushed()


async def test_durable_events_are_sent_and_then_the_end_marker(
    log: StreamLog, stream_id: StreamId, producer: Appender, viewing: Viewing
) -> None:
    await say(producer, "one ", "two ", "three")
    await producer.close(COMPLETED)
    await viewing.done()

    assert viewing.server.body == await everything(log, stream_id) + frame.DONE
    assert viewing.server.ended


async def test_a_viewer_that_is_held_back_gets_the_rest_in_order_and_slows_nobody(
    log: StreamLog, stream_id: StreamId, producer: Appender, viewing: Viewing
) -> None:
    quick = await view(log, stream_id)
    viewing.server.open.clear()
    with anyio.fail_after(TOO_LONG):
        await say(producer, *(f"w{n} " for n in range(50)))
    await quick.server.until(b"w49 ")
    assert b"w1 " not in viewing.server.body

    viewing.server.open.set()
    await say(producer, "after")
    await producer.close(COMPLETED)

    for each in (viewing, quick):
        await each.done()
        assert each.server.body == await everything(log, stream_id) + frame.DONE


async def test_a_viewer_held_back_again_and_again_gets_every_event_once(
    log: StreamLog, stream_id: StreamId, producer: Appender, viewing: Viewing
) -> None:
    for turn in range(30):
        viewing.server.open.clear()
        await say(producer, f"a{turn} ", f"b{turn} ")
        viewing.server.open.set()
        await say(producer, f"c{turn} ")
    await producer.close(COMPLETED)
    await viewing.done()

    assert viewing.server.body == await everything(log, stream_id) + frame.DONE


async def test_a_viewer_whose_connection_fails_harms_only_itself(
    log: StreamLog, stream_id: StreamId, producer: Appender, viewing: Viewing
) -> None:
    other = await view(log, stream_id)
    await other.server.until(b'"start"')
    viewing.server.broken = True
    await say(producer, "one ", "two ")

    with pytest.raises(OSError, match="gone"):
        await viewing.done()
    await say(producer, "three")
    await producer.close(COMPLETED)
    await other.done()

    assert other.server.body == await everything(log, stream_id) + frame.DONE


async def test_a_viewer_that_leaves_ends_its_response_and_its_tasks(
    producer: Appender, viewing: Viewing
) -> None:
    before = asyncio.all_tasks()
    viewing.server.gone.set()
    await viewing.done()

    sent = viewing.server.body
    await say(producer, "unseen")
    assert viewing.server.body == sent
    assert len(asyncio.all_tasks()) < len(before)


async def test_a_thousand_viewers_that_come_and_go_leave_no_task(
    log: StreamLog, stream_id: StreamId, producer: Appender
) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(20):
        crowd = [await view(log, stream_id) for _ in range(50)]
        await say(producer, "hello ")
        for each in crowd:
            await each.server.until(b"hello")
            each.server.gone.set()
        for each in crowd:
            await each.done()

    assert len(asyncio.all_tasks()) == before
    await producer.close(COMPLETED)


async def test_a_silent_stream_is_kept_alive_by_comments(
    log: StreamLog, stream_id: StreamId, producer: Appender
) -> None:
    viewing = await view(log, stream_id, heartbeat=timedelta(milliseconds=20))
    await viewing.server.until(frame.HEARTBEAT * 3)

    await producer.close(COMPLETED)
    await viewing.done()

    assert viewing.server.body.replace(frame.HEARTBEAT, b"") == (
        await everything(log, stream_id) + frame.DONE
    )


async def test_a_connection_is_broken_off_at_the_end_of_its_life_and_the_stream_goes_on(
    log: StreamLog, stream_id: StreamId, producer: Appender
) -> None:
    heartbeat, lifetime = timedelta(milliseconds=10), timedelta(milliseconds=50)
    short = await view(log, stream_id, heartbeat=heartbeat, lifetime=lifetime)

    await short.done()
    await say(producer, "after")

    assert b'"start"' in short.server.body
    assert frame.DONE not in short.server.body
    assert not short.server.ended
    assert b'"after"' in (await log.follow(stream_id, after=0)).take()


async def test_a_viewer_that_is_slow_at_every_event_is_still_cut_at_the_end_of_its_lifetime(
    log: StreamLog, stream_id: StreamId, producer: Appender
) -> None:
    slow = await view(log, stream_id, lifetime=timedelta(milliseconds=50))
    await slow.server.until(b'"start"')

    with anyio.fail_after(TOO_LONG):
        while not slow.task.done():
            slow.server.open.clear()
            await say(producer, "and ")
            slow.server.open.set()
            await anyio.lowlevel.checkpoint()

    await slow.done()
    assert not slow.server.ended
