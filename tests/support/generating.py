"""Generations that break off, and a store that goes back in time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import redis

from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId
from tests.support.scripted_llm import Line, ScriptedLLM
from tests.support.server_process import TOO_LONG, ServerProcess


async def begun(
    here: ServerProcess, model: ScriptedLLM, owner: Identity, *lines: Line, until: str
) -> tuple[StreamId, asyncio.Task[None]]:
    """Start a generation and return once it has reached the text `until`."""
    stream_id = await here.ask(owner)
    producing = asyncio.create_task(here.producer.produce(owner, stream_id))
    model.say(*lines)
    await here.watch(stream_id, text=until)
    return stream_id, producing


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Wait until all tasks have ended, successfully or not."""
    with anyio.fail_after(TOO_LONG):
        await asyncio.wait(tasks)


@contextmanager
def store_rewound(redis_url: str, stream_id: StreamId) -> Iterator[None]:
    """Restore, after the block, all that the store held of the stream before it."""
    with redis.Redis.from_url(redis_url) as client:
        names: Any = client.keys(f"*{stream_id}*")
        before: dict[bytes, Any] = {name: client.dump(name) for name in names}
        yield
        for name, value in before.items():
            client.restore(name, 0, value, replace=True)
