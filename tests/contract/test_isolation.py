"""A failure in one place must not affect anything else."""

import asyncio
from datetime import timedelta

import anyio
import pytest

from chat_app.errors import LogUnavailable
from chat_app.streams.engine import open_engine
from chat_app.streams.model import Outcome, StreamId
from tests.contract.conftest import Processes
from tests.support.reading import everything

pytestmark = pytest.mark.anyio

TOO_LONG = 10


async def test_viewers_in_the_process_a_producer_left_see_what_the_next_one_writes(
    processes: Processes, stream_id: StreamId
) -> None:
    first = await processes.here.open(stream_id, token=1)
    first.append_text("early ", part_id="1")
    await first.wait_flushed()
    viewer = asyncio.create_task(everything(processes.here, stream_id))

    await processes.here.leave(first)
    late = asyncio.create_task(everything(processes.here, stream_id))
    second = await processes.elsewhere.open(stream_id, token=2)
    second.append_text("late", part_id="1")
    await second.close(Outcome(kind="completed"))

    with anyio.fail_after(TOO_LONG):
        assert await viewer == await late == await everything(processes.elsewhere, stream_id)


async def test_a_cluster_that_is_away_is_an_outage_like_any_other() -> None:
    nobody = "redis+cluster://127.0.0.1:1/0"
    async with open_engine(nobody, patience=timedelta(seconds=1)) as engine:
        with pytest.raises(LogUnavailable):
            await engine.run("watch", keys=["{a}:state", "{a}:log"], args=["read", ""])
        with pytest.raises(LogUnavailable):
            async with engine.subscription():
                pass
