"""A Redis that restarts empty in mid-answer, and the queue that it loses."""

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
import redis.asyncio as redis
from anyio.to_thread import run_sync

from chat_app.chats.database import Database
from chat_app.chats.streams import StreamRepository
from chat_app.errors import LogUnavailable, StreamNotFound
from chat_app.generation.llm import Finish
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId
from tests.support.app_server import AppServer, running, running_together
from tests.support.caller import Visit, rows, text_of
from tests.support.producing import answering, named_server
from tests.support.redis_server import RedisServer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import TOO_LONG, ServerProcess, server_process

TOKENS = 300
WORDS = "".join(f"w{number} " for number in range(1, TOKENS + 1))
NEVER = "3600"
"""Seconds between checkpoints; so long that no sweep finds the answer, only the queue."""


@pytest.fixture
def pair(tmp_path: Path, own_redis: RedisServer) -> Iterator[tuple[AppServer, AppServer]]:
    """Two servers that share one Redis and one database."""
    a, b = (named_server(tmp_path, own_redis.url, CHECKPOINT_INTERVAL=NEVER) for _ in range(2))
    with running_together(a, b):
        yield a, b


@pytest.mark.timeout(120)
def test_a_kill_after_an_empty_restart_of_redis_is_taken_over_from_the_queue(
    pair: tuple[AppServer, AppServer], own_redis: RedisServer, visit: Visit
) -> None:
    a, b = pair
    caller = visit(a)
    with (
        answering(caller, a, own_redis.url, f"/demo tokens={TOKENS} rate=40 words=1") as answer,
        caller.watch(b, answer.chat, after=0) as viewing,
    ):
        seen = b"".join(next(viewing) for _ in range(20))
        own_redis.restart()
        restored = len(text_of(seen))
        while len(text_of(seen)) < restored + 100:
            seen += next(viewing)
        a.kill()
        seen += b"".join(viewing)

    [(parts, meta)] = rows(
        b, "SELECT parts, meta FROM message WHERE role = 'assistant' AND parts LIKE '%w20 %'"
    )
    assert text_of(seen) == WORDS
    assert json.loads(parts)[0]["text"] == WORDS
    assert json.loads(meta)["takeovers"] == 1


@pytest.mark.anyio
@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_an_answer_that_has_ended_is_not_begun_again(
    own_redis: RedisServer,
    database: Database,
    alice: Identity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "chat_app.generation.lease")
    model = ScriptedLLM()
    async with server_process(own_redis.url, database, model) as here, here.working() as working:
        stream_id = await here.ask(alice)
        await working.schedule(alice, stream_id)
        model.say("To ")
        await here.watch(stream_id, text="To ")
        await run_sync(own_redis.restart)
        model.say("the ")
        await until_restored(here, stream_id, text="To the ")
        own_redis.pause()
        with anyio.fail_after(TOO_LONG):
            while "leases not renewed" not in caplog.text:
                await anyio.lowlevel.checkpoint()
        own_redis.resume()
        await until_queued(own_redis)
        model.say("sea.", Finish())
        await until_restored(here, stream_id, text="To the sea.")
        streams = StreamRepository(database)
        with anyio.fail_after(TOO_LONG):  # until the queue has redelivered the generation
            while await streams.is_newest_claim(alice, stream_id, fencing_token=1):
                await anyio.lowlevel.checkpoint()
        chat = await here.chat(alice)

    assert len(model.prompts) == 1
    assert [(message.text, message.status) for message in chat.messages[1:]] == [
        ("To the sea.", "complete")
    ]


@pytest.mark.anyio
@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_an_answer_in_progress_that_becomes_due_in_the_queue_is_not_begun_again(
    own_redis: RedisServer, database: Database, alice: Identity
) -> None:
    model = ScriptedLLM()
    async with (
        server_process(own_redis.url, database, model) as here,
        here.working(redelivery_timeout=timedelta(hours=1)) as working,
    ):
        stream_id = await here.ask(alice)
        await working.schedule(alice, stream_id)
        model.say("To ")
        await here.watch(stream_id, text="To ")
        async with redis.Redis.from_url(own_redis.socket_url) as client:
            await client.flushall()
            await until_queued(own_redis)
            # As if this process had been too busy to postpone it.
            await client.zadd("generations:queue", {stream_id: 0})
            with anyio.fail_after(TOO_LONG):
                while not await client.zscore("generations:queue", stream_id):
                    await anyio.lowlevel.checkpoint()
        model.say("the sea.", Finish())
        await until_restored(here, stream_id, text="To the sea.")

    assert len(model.prompts) == 1


async def until_queued(own_redis: RedisServer) -> None:
    """Wait until the queue holds the generation again, in case this process dies."""
    async with redis.Redis.from_url(own_redis.socket_url) as client:
        with anyio.fail_after(TOO_LONG):
            while not await client.zcard("generations:queue"):
                await anyio.lowlevel.checkpoint()


async def until_restored(here: ServerProcess, stream_id: StreamId, *, text: str) -> None:
    """Wait until the stream, which the store has lost at first, holds `text`."""
    with anyio.fail_after(TOO_LONG):
        while True:
            try:
                await here.watch(stream_id, text=text)
            except (LogUnavailable, StreamNotFound):
                await anyio.lowlevel.checkpoint()
            else:
                return


def test_a_new_prompt_does_not_wait_for_the_answers_that_were_under_way(
    tmp_path: Path, own_redis: RedisServer, visit: Visit
) -> None:
    server = AppServer(folder=tmp_path, settings={"REDIS_URL": own_redis.url})
    with running(server):
        caller = visit(server)
        with caller.send(server, "/demo tokens=600 rate=20 words=1", chat="long") as answer:
            seen = next(answer)
            own_redis.restart()
            while "w20 " not in text_of(seen):
                seen += next(answer)

            with caller.send(server, "/demo tokens=5 rate=0 words=1", chat="new") as new:
                assert text_of(b"".join(new)) == "w1 w2 w3 w4 w5 "

            assert caller.stop(server, "long").status_code == 202
            seen += b"".join(answer)

    assert WORDS.startswith(text_of(seen))
    assert rows(server, "SELECT status FROM message WHERE role = 'assistant' ORDER BY status") == [
        ("complete",),
        ("stopped",),
    ]
