"""Generations as tasks: each is done once, even if a process ends in the middle."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import cast
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest
from docket import Docket, Worker
from redis.asyncio import Redis

from chat_app.chats.database import Database
from chat_app.chats.models import Claim
from chat_app.chats.streams import StreamRepository
from chat_app.errors import DatabaseUnavailable, LogUnavailable
from chat_app.generation.llm import Finish
from chat_app.generation.producer import Producer
from chat_app.generation.task import Generations, open_generations
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId
from tests.support.redis_server import RedisServer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import NEVER, TOO_LONG, ServerProcess, server_process, text_of
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.anyio


async def test_scheduling_twice_is_scheduling_once(
    here: ServerProcess, model: ScriptedLLM, alice: Identity
) -> None:
    stream_id = await here.ask(alice)
    async with here.working() as generations:
        await generations.schedule(alice, stream_id)
        await generations.schedule(alice, stream_id)
        with anyio.fail_after(TOO_LONG):
            await model.asked()
        await generations.schedule(alice, stream_id)
        model.say("To the sea.", Finish())
        data = await here.everything(stream_id)

    assert text_of(data) == "To the sea."
    assert len(model.prompts) == 1


async def test_when_the_only_process_ends_the_reply_is_kept_as_interrupted(
    database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process("memory://", database, model) as here:
        stream_id = await here.ask(alice)
        with anyio.fail_after(TOO_LONG):
            async with here.working() as generations:
                await generations.schedule(alice, stream_id)
                model.say("To the ")
                await here.watch(stream_id, text="To the ")
        chat = await here.chat(alice)

    assert (chat.messages[-1].text, chat.messages[-1].status) == ("To the ", "interrupted")
    assert chat.open_stream is None
    assert model.at_work == 0


async def test_when_a_process_ends_another_continues_its_answer(
    redis_url: str,
    database: Database,
    other_process: Database,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    async with server_process(redis_url, other_process, other_model) as elsewhere:
        async with server_process(redis_url, database, model) as here, here.working() as working:
            stream_id = await here.ask(alice)
            await working.schedule(alice, stream_id)
            model.say("To the ")
            await here.watch(stream_id, text="To the ")
        assert model.at_work == 0

        async with elsewhere.working():
            with anyio.fail_after(TOO_LONG):
                await other_model.asked()
            other_model.say("sea.", Finish())
            data = await elsewhere.everything(stream_id)
        reply = (await elsewhere.chat(alice)).messages[-1]

    assert other_model.prompts[0].prefix == "To the "
    assert text_of(data) == reply.text == "To the sea."


async def test_a_process_that_is_told_to_end_hands_over_without_waiting_for_its_lease(
    redis_url: str,
    database: Database,
    other_process: Database,
    model: ScriptedLLM,
    other_model: ScriptedLLM,
    alice: Identity,
) -> None:
    async with (
        server_process(redis_url, database, model) as here,
        server_process(redis_url, other_process, other_model) as elsewhere,
        here.working(redelivery_timeout=NEVER) as working,
    ):
        stream_id = await here.ask(alice)
        await working.schedule(alice, stream_id)
        model.say("To the ")
        await here.watch(stream_id, text="To the ")

        async with elsewhere.working(redelivery_timeout=NEVER):
            working.leave()
            with anyio.fail_after(TOO_LONG):
                await other_model.asked()
            other_model.say("sea.", Finish())
            data = await elsewhere.everything(stream_id)

    assert model.at_work == 0
    assert other_model.prompts[0].prefix == "To the "
    assert text_of(data) == "To the sea."


async def test_a_generation_given_to_a_leaving_process_is_left_for_another(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process(redis_url, database, model) as here:
        stream_id = await here.ask(alice)
        async with here.working(redelivery_timeout=NEVER) as working:
            await working.schedule(alice, stream_id)
            leaving = working.leave()  # the worker may have the task but has not begun it
            with pytest.raises(LogUnavailable):
                await working.schedule(alice, stream_id)
            await leaving
        assert not model.prompts

        async with here.working(redelivery_timeout=NEVER):
            with anyio.fail_after(TOO_LONG):
                await model.asked()
            model.say("To the sea.", Finish())
            data = await here.everything(stream_id)

    assert text_of(data) == "To the sea."


@pytest.mark.parametrize("trouble", ["stop", "pause"])
async def test_a_queue_that_does_not_answer_is_a_clear_error(
    own_redis: RedisServer, database: Database, alice: Identity, trouble: str
) -> None:
    model = ScriptedLLM()
    async with server_process(own_redis.url, database, model) as here:
        stream_id = await here.ask(alice)
        async with here.working() as generations:
            await anyio.to_thread.run_sync(getattr(own_redis, trouble))

            with anyio.fail_after(TOO_LONG), pytest.raises(LogUnavailable):
                await generations.schedule(alice, stream_id)

            await anyio.to_thread.run_sync(
                own_redis.start if trouble == "stop" else own_redis.resume
            )
            with anyio.fail_after(TOO_LONG):
                while True:
                    try:
                        await generations.schedule(alice, stream_id)
                        break
                    except LogUnavailable:
                        await anyio.lowlevel.checkpoint()
            with anyio.fail_after(TOO_LONG):
                await model.asked()
            model.say("To the sea.", Finish())
            assert text_of(await here.everything(stream_id)) == "To the sea."


class DeafWorker:
    """Swallows a cancellation, like a library whose own timeout expires at the same moment."""

    name = "deaf"
    redelivery_timeout = NEVER

    def __init__(self) -> None:
        self.lost = 0

    async def run_forever(self) -> None:
        while self.lost < 2:
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                self.lost += 1


async def test_a_worker_that_swallows_a_cancellation_is_cancelled_again(
    here: ServerProcess,
) -> None:
    worker = DeafWorker()
    async with Docket(name="deaf", url="memory://deaf") as docket:
        generations = Generations(
            docket, cast("Worker", worker), here.producer, patience=timedelta(seconds=1)
        )
        await anyio.lowlevel.checkpoint()  # lets the worker start

        with anyio.fail_after(TOO_LONG):
            await generations.leave()

    assert worker.lost == 2


class AwayAtFirst(StreamRepository):
    """A database that does not answer the first claim."""

    away = True

    async def claim(self, identity: Identity, stream_id: StreamId) -> Claim:
        if self.away:
            self.away = False
            raise DatabaseUnavailable("away")
        return await super().claim(identity, stream_id)


async def test_a_generation_that_cannot_begin_tries_again(
    database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    streams = AwayAtFirst(database)
    async with server_process("memory://", database, model, streams=streams) as here:
        stream_id = await here.ask(alice)
        async with here.working() as generations:
            await generations.schedule(alice, stream_id)
            model.say("To the sea.", Finish())

            assert text_of(await here.everything(stream_id)) == "To the sea."


class Worked(Producer):
    """A producer that writes nothing and finishes at once."""

    def __init__(self) -> None:
        self.on_store_loss: dict[StreamId, Callable[[], None]] = {}
        self.began = {StreamId(name): anyio.Event() for name in ("first", "second")}

    async def produce(
        self,
        identity: Identity,
        stream_id: StreamId,
        *,
        on_store_loss: Callable[[], None] = lambda: None,
    ) -> None:
        self.on_store_loss[stream_id] = on_store_loss
        self.began[stream_id].set()


async def test_a_generation_that_has_ended_holds_no_lease(redis_url: str, alice: Identity) -> None:
    producer, name = Worked(), uuid4().hex
    second = timedelta(seconds=1)
    async with (
        Redis.from_url(redis_url) as client,
        open_generations(
            redis_url,
            producer,
            name=name,
            concurrency=1,
            redelivery_timeout=second,
            patience=second,
        ) as generations,
    ):
        with anyio.fail_after(TOO_LONG):
            for stream_id, began in producer.began.items():  # one after another
                await generations.schedule(alice, stream_id)
                await began.wait()

        producer.on_store_loss[StreamId("first")]()
        await anyio.wait_all_tasks_blocked()

        assert await client.zcard(f"{name}:queue") == 0


async def test_silently_dead_connections_are_replaced(
    own_redis: RedisServer, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with (
        TcpProxy(port=own_redis.port) as proxy,
        server_process(f"redis://127.0.0.1:{proxy.port}/0", database, model) as here,
        here.working() as generations,
    ):
        first = await here.ask(alice)
        await generations.schedule(alice, first)
        model.say("To the ")
        await here.watch(first, text="To the ")
        proxy.swallow_all()
        model.say("sea.", Finish())

        assert text_of(await here.everything(first)) == "To the sea."
        await retrying(here.log.ping)
        model.say("By train.", Finish())
        second = await here.ask(alice)
        await retrying(lambda: generations.schedule(alice, second))
        with anyio.fail_after(30):
            data = b"".join([batch.data async for batch in await here.log.follow(second)])
    assert text_of(data) == "By train."
    assert len(model.prompts) == 2


async def retrying(attempt: Callable[[], Awaitable[None]]) -> None:
    """Retry while the store is reported as away."""
    while True:
        with suppress(LogUnavailable):
            return await attempt()
