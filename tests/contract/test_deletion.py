"""A deleted stream is gone from the store, and no producer brings it back."""

import anyio
import pytest

from chat_app.errors import ChatNotFound, Fenced, StreamNotFound
from chat_app.streams.model import Outcome, StreamId
from tests.contract.conftest import Processes

pytestmark = pytest.mark.anyio

TOO_LONG = 10


async def test_a_deleted_stream_is_gone_for_every_process(
    processes: Processes, stream_id: StreamId
) -> None:
    producer = await processes.here.open(stream_id, token=1)
    producer.append_text("secret", part_id="1")
    await producer.close(Outcome(kind="completed"))

    await processes.elsewhere.delete(stream_id)
    await processes.elsewhere.delete(stream_id)

    for log in (processes.here, processes.elsewhere):
        with pytest.raises(StreamNotFound):
            await log.state(stream_id)


async def test_a_viewer_of_a_deleted_stream_is_told(
    processes: Processes, stream_id: StreamId
) -> None:
    await processes.here.create(stream_id)
    follower = await processes.here.follow(stream_id)

    await processes.here.delete(stream_id)

    with anyio.fail_after(TOO_LONG), pytest.raises(StreamNotFound):
        await follower.next()


async def test_a_producer_does_not_bring_back_what_was_deleted(
    processes: Processes, stream_id: StreamId
) -> None:
    async def nobodys() -> bool:
        raise ChatNotFound("no such chat")

    producer = await processes.here.open(stream_id, token=1, still_owner=nobodys)
    producer.append_text("early", part_id="1")
    await producer.wait_flushed()

    await processes.elsewhere.delete(stream_id)

    producer.append_text("late", part_id="1")
    with anyio.fail_after(TOO_LONG), pytest.raises(Fenced):
        await producer.wait_flushed()
    with pytest.raises(StreamNotFound):
        await processes.elsewhere.state(stream_id)
