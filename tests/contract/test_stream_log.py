"""The laws of the durable log: cuts, dense offsets, takeover, fencing and closing."""

import asyncio
import gc

import anyio
import pytest

from chat_app.errors import Fenced, InvalidOffset, StreamClosed, StreamNotFound
from chat_app.streams import frame
from chat_app.streams.appender import Appender
from chat_app.streams.log import StreamLog
from chat_app.streams.model import Outcome, StreamId
from tests.contract.conftest import Processes
from tests.support.reading import everything

pytestmark = pytest.mark.anyio

COMPLETED = Outcome(kind="completed")
TOO_LONG = 10


async def written(log: StreamLog, stream_id: StreamId, words: int) -> Appender:
    """Return a producer that has written a start and `words` events, one per flush."""
    producer = await log.open(stream_id, token=1)
    producer.append({"type": "start", "messageId": "reply"})
    for word in range(words):
        producer.append_text(f"w{word} ", part_id="1")
        await producer.wait_flushed()
    return producer


def offsets(data: bytes) -> list[int]:
    return [frame.offset_of(piece) for piece in frame.split(data)]


def text(data: bytes) -> str:
    events = [frame.decode(piece)[1] for piece in frame.split(data)]
    return "".join(event.get("delta", "") for event in events)


async def test_a_stream_cut_after_any_event_and_resumed_is_the_whole_stream(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await written(processes.here, stream_id, words=20)
    producer.append({"type": "finish"})
    await producer.close(COMPLETED)
    whole = await everything(processes.here, stream_id)
    frames = frame.split(whole)

    for cut in range(len(frames) + 1):
        rest = await everything(processes.elsewhere, stream_id, after=cut)
        assert b"".join(frames[:cut]) + rest == whole


async def test_offsets_are_dense_from_one(log: StreamLog, stream_id: StreamId) -> None:
    producer = await written(log, stream_id, words=50)
    await producer.close(COMPLETED)

    seen = offsets(await everything(log, stream_id))

    assert seen == list(range(1, len(seen) + 1))


async def test_viewers_in_every_process_see_the_same_bytes_while_it_is_written(
    processes: Processes, stream_id: StreamId
) -> None:
    await processes.here.create(stream_id)
    async with asyncio.TaskGroup() as viewers:
        early = [
            viewers.create_task(everything(process, stream_id))
            for process in (processes.here, processes.elsewhere, processes.elsewhere)
        ]
        producer = await written(processes.here, stream_id, words=100)
        late = viewers.create_task(everything(processes.elsewhere, stream_id, after=30))
        for word in range(100, 200):
            producer.append_text(f"w{word} ", part_id="1")
            await producer.wait_flushed()
        await producer.close(COMPLETED)

    whole = early[0].result()
    assert {viewer.result() for viewer in early} == {whole}
    assert b"".join(frame.split(whole)[:30]) + late.result() == whole
    assert text(whole) == "".join(f"w{word} " for word in range(200))


async def test_a_viewer_that_joins_between_any_two_events_misses_nothing(
    processes: Processes, stream_id: StreamId
) -> None:
    await processes.here.create(stream_id)
    async with asyncio.TaskGroup() as viewers:
        producer = await written(processes.here, stream_id, words=0)
        joined: list[asyncio.Task[bytes]] = []
        for word in range(30):
            joined.append(viewers.create_task(everything(processes.elsewhere, stream_id)))
            producer.append_text(f"w{word} ", part_id="1")
            await producer.wait_flushed()
        await producer.close(COMPLETED)

    assert {viewer.result() for viewer in joined} == {await everything(processes.here, stream_id)}


async def test_nothing_is_shown_before_it_is_durable(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await written(processes.here, stream_id, words=1)
    follower = await processes.here.follow(stream_id, after=producer.tail.end)
    producer.append_text("later ", part_id="1")

    with anyio.fail_after(TOO_LONG):
        batch = await follower.next()

    assert batch is not None
    assert (await processes.elsewhere.state(stream_id)).tail >= batch.last


async def test_neighbouring_deltas_of_one_flush_are_one_event(
    log: StreamLog, stream_id: StreamId
) -> None:
    producer = await log.open(stream_id, token=1)
    for word in ("one ", "two ", "three"):
        producer.append_text(word, part_id="1")
    producer.append_text("other part", part_id="2")
    await producer.close(COMPLETED)

    events = [frame.decode(piece)[1] for piece in frame.split(await everything(log, stream_id))]

    assert [event["delta"] for event in events] == ["one two three", "other part"]


async def test_after_a_takeover_no_append_of_the_old_producer_lands(
    processes: Processes, stream_id: StreamId
) -> None:
    old = await written(processes.here, stream_id, words=3)
    new = await processes.elsewhere.open(stream_id, token=2)
    old.append_text("too late", part_id="1")
    with pytest.raises(Fenced):
        await old.wait_flushed()
    with pytest.raises(Fenced):
        await old.close(COMPLETED)
    new.append_text("mine", part_id="1")
    await new.close(COMPLETED)

    whole = await everything(processes.here, stream_id)

    assert text(whole) == "w0 w1 w2 mine"
    assert whole == await everything(processes.elsewhere, stream_id)


async def test_a_viewer_beside_the_old_producer_goes_on_with_the_new_one(
    processes: Processes, stream_id: StreamId
) -> None:
    old = await written(processes.here, stream_id, words=3)
    async with asyncio.TaskGroup() as viewers:
        viewer = viewers.create_task(everything(processes.here, stream_id))
        await anyio.lowlevel.checkpoint()
        new = await processes.elsewhere.open(stream_id, token=2)
        old.append_text("too late", part_id="1")
        with pytest.raises(Fenced):
            await old.wait_flushed()
        new.append_text("mine", part_id="1")
        await new.wait_flushed()
        new.append_text(" too", part_id="1")
        await new.close(COMPLETED)

    assert text(viewer.result()) == "w0 w1 w2 mine too"


async def test_a_producer_that_takes_over_holds_what_was_written_before(
    processes: Processes, stream_id: StreamId
) -> None:
    await written(processes.here, stream_id, words=3)

    new = await processes.elsewhere.open(stream_id, token=2)

    assert text(b"".join(new.tail.frames(after=0))) == "w0 w1 w2 "


async def test_an_older_token_cannot_open(processes: Processes, stream_id: StreamId) -> None:
    await processes.here.open(stream_id, token=2)

    with pytest.raises(Fenced):
        await processes.elsewhere.open(stream_id, token=1)


async def test_closing_is_final_and_idempotent(processes: Processes, stream_id: StreamId) -> None:
    producer = await written(processes.here, stream_id, words=1)
    await producer.close(COMPLETED)
    await producer.close(COMPLETED)

    with pytest.raises(StreamClosed):
        producer.append_text("more", part_id="1")
    with pytest.raises(StreamClosed):
        await processes.elsewhere.open(stream_id, token=2)
    assert (await processes.elsewhere.state(stream_id)).outcome == COMPLETED


async def test_the_last_event_and_the_end_come_together(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await written(processes.here, stream_id, words=1)
    follower = await processes.elsewhere.follow(stream_id, after=producer.tail.end)
    producer.append({"type": "finish"})
    await producer.close(Outcome(kind="failed", code="provider_unavailable"))

    with anyio.fail_after(TOO_LONG):
        last, end = await follower.next(), await follower.next()

    assert last is not None
    assert b"finish" in last.data
    assert end is None


async def test_up_to_date_is_not_closed(log: StreamLog, stream_id: StreamId) -> None:
    producer = await written(log, stream_id, words=1)
    follower = await log.follow(stream_id)
    await follower.next()

    waiting = asyncio.create_task(follower.next())
    await anyio.lowlevel.checkpoint()

    assert not waiting.done()
    await producer.close(COMPLETED)
    with anyio.fail_after(TOO_LONG):
        assert await waiting is None


async def test_a_cancelled_wait_loses_nothing(log: StreamLog, stream_id: StreamId) -> None:
    producer = await written(log, stream_id, words=1)
    follower = await log.follow(stream_id)
    seen = await follower.next()
    assert seen is not None
    waiting = asyncio.create_task(follower.next())
    await anyio.lowlevel.checkpoint()
    producer.append_text("unseen", part_id="1")
    await producer.wait_flushed()
    waiting.cancel()
    await asyncio.wait([waiting])

    with anyio.fail_after(TOO_LONG):
        batch = await follower.next() if waiting.cancelled() else waiting.result()

    assert batch is not None
    assert text(batch.data) == "unseen"


async def test_a_stop_reaches_the_producer_from_another_process(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await written(processes.here, stream_id, words=1)

    state = await processes.elsewhere.request_stop(stream_id)

    with anyio.fail_after(TOO_LONG):
        await producer.stop_requested.wait()
    assert state.tail == producer.tail.end


async def test_a_stop_before_the_producer_opens_is_seen_when_it_does(
    processes: Processes, stream_id: StreamId
) -> None:
    await processes.here.create(stream_id)
    await processes.elsewhere.request_stop(stream_id)

    producer = await processes.here.open(stream_id, token=1)

    assert producer.stop_requested.is_set()


async def test_a_stop_after_the_end_changes_nothing(log: StreamLog, stream_id: StreamId) -> None:
    producer = await written(log, stream_id, words=1)
    await producer.close(COMPLETED)

    state = await log.request_stop(stream_id)

    assert state.outcome == COMPLETED
    assert not (await log.state(stream_id)).stop_requested


async def test_an_unknown_stream_is_not_found(log: StreamLog, stream_id: StreamId) -> None:
    with pytest.raises(StreamNotFound):
        await log.follow(stream_id)
    with pytest.raises(StreamNotFound):
        await log.request_stop(stream_id)
    with pytest.raises(StreamNotFound):
        await log.state(stream_id)


async def test_a_cursor_beyond_the_tail_is_refused_with_the_tail(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await written(processes.here, stream_id, words=1)

    with pytest.raises(InvalidOffset) as refused:
        await processes.elsewhere.follow(stream_id, after=producer.tail.end + 1)

    assert refused.value.tail == producer.tail.end


async def test_a_compacted_replay_is_the_same_message_in_fewer_events(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await written(processes.here, stream_id, words=200)
    producer.append({"type": "finish"})
    await producer.close(COMPLETED)
    whole = await everything(processes.here, stream_id)

    follower = await processes.elsewhere.follow(stream_id, compact=True)
    replay = b"".join([batch.data async for batch in follower])

    assert text(replay) == text(whole)
    assert offsets(replay) == [1, 201, 202]
    assert frame.split(replay)[-1] == frame.split(whole)[-1]


async def test_a_backlog_longer_than_a_page_is_read_whole(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await processes.here.open(stream_id, token=1)
    for word in range(2500):
        producer.append({"type": "data-n", "data": word})
        await producer.wait_for_room()
    await producer.close(COMPLETED)

    assert len(offsets(await everything(processes.elsewhere, stream_id))) == 2500


async def test_a_backlog_comes_in_pieces_that_do_not_grow_with_its_events(
    log: StreamLog, stream_id: StreamId
) -> None:
    sizes = [100_000, 100_000, 100_000, 400_000, 1, 100_000]
    producer = await log.open(stream_id, token=1)
    for size in sizes:
        producer.append_text("x" * size, part_id="1")
        await producer.wait_flushed()
    await producer.close(COMPLETED)

    with anyio.fail_after(TOO_LONG):
        pieces = [batch async for batch in await log.follow(stream_id)]

    assert [batch.last for batch in pieces] == [2, 3, 4, 6]
    whole = b"".join(batch.data for batch in pieces)
    assert offsets(whole) == [1, 2, 3, 4, 5, 6]
    assert [len(frame.decode(piece)[1]["delta"]) for piece in frame.split(whole)] == sizes


async def test_any_text_comes_out_as_it_went_in(log: StreamLog, stream_id: StreamId) -> None:
    awkward = ['"quoted" \\ back', "line\nbreak\r\n\n", "naïve ☃ 🎉", "\u2028\x85\x01", "id: 9\n\n"]
    producer = await log.open(stream_id, token=1)
    for piece in awkward:
        producer.append_text(piece, part_id="1")
        await producer.wait_flushed()
    await producer.close(COMPLETED)

    whole = await everything(log, stream_id)

    assert text(whole) == "".join(awkward)
    assert text(b"".join(frame.compact(frame.split(whole)))) == "".join(awkward)


async def test_a_viewer_that_left_leaves_nothing_behind(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await written(processes.here, stream_id, words=1)
    tasks = len(asyncio.all_tasks())

    async def come_and_go() -> None:
        follower = await processes.elsewhere.follow(stream_id)
        waiting = asyncio.create_task(everything(processes.elsewhere, stream_id))
        await follower.next()
        waiting.cancel()
        await asyncio.wait([waiting])

    for _ in range(20):
        await come_and_go()
    gc.collect()

    assert len(asyncio.all_tasks()) == tasks
    await producer.close(COMPLETED)


async def test_a_long_replay_is_compacted_without_a_seam(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await processes.here.open(stream_id, token=1)
    producer.append({"type": "start", "messageId": "reply"})
    for word in range(2500):
        # Other events in between keep the deltas of a flush from merging into one event.
        producer.append_text(f"w{word} ", part_id="1")
        if word % 100 == 0:
            await producer.wait_flushed()
        if word % 2:
            producer.append({"type": "data-n", "data": word})
    await producer.wait_flushed()
    follower = await processes.elsewhere.follow(stream_id, compact=True)

    first = await follower.next()

    assert first is not None
    assert first.last == producer.tail.end
    await producer.close(COMPLETED)


async def test_a_reply_of_the_store_after_a_takeover_in_the_same_process_adds_nothing(
    log: StreamLog, stream_id: StreamId
) -> None:
    old = await written(log, stream_id, words=1)
    old.append_text("landed ", part_id="1")
    await log._engine.append(("60000", "60000"), [(old.keys, old.next_request())])
    new = await log.open(stream_id, token=2)
    old.on_reply(b"ok")
    new.append_text("new", part_id="1")
    await new.close(COMPLETED)

    whole = await everything(log, stream_id)

    assert text(whole) == "w0 landed new"
    assert offsets(whole) == [1, 2, 3, 4]
    with pytest.raises(Fenced):
        old.append_text("late", part_id="1")
