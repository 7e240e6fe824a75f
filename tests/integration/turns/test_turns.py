"""A turn: sent once, answered whole, resumed from anywhere, stopped by its owner."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio
import pytest
import redis

from chat_app.chats.database import Database
from chat_app.chats.models import BegunTurn, MessageId
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.errors import (
    ChatNotFound,
    InvalidOffset,
    InvalidRequest,
    LogUnavailable,
    PromptTooLarge,
    TurnInProgress,
)
from chat_app.generation.llm import Finish
from chat_app.generation.task import Generations
from chat_app.identity.identity import Identity
from chat_app.streams import frame
from chat_app.streams.follower import Follower
from chat_app.streams.log import LogOptions
from chat_app.turns import Turn, Turns
from tests.support.redis_server import RedisServer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import (
    CHAT,
    QUESTION,
    TOO_LONG,
    ServerProcess,
    server_process,
    text_of,
)

pytestmark = pytest.mark.anyio

MESSAGE = "prompt-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One process at work."""

    here: ServerProcess
    generations: Generations
    turns: Turns

    async def send(
        self, owner: Identity, text: str = QUESTION, *, message_id: str = MESSAGE
    ) -> Turn:
        return await self.turns.send(owner, chat_id=CHAT, message_id=message_id, text=text)

    async def answered(self, owner: Identity) -> bytes:
        """Send a prompt and return its whole stream; the model must have its lines already."""
        turn = await self.send(owner)
        resumed = await self.turns.follow(owner, turn)
        assert resumed.follower is not None
        return await rest(resumed.follower)


@pytest.fixture
async def app(store_url: str, database: Database, model: ScriptedLLM) -> AsyncGenerator[App]:
    async with (
        server_process(store_url, database, model) as here,
        here.working() as generations,
    ):
        yield App(here=here, generations=generations, turns=here.turns(generations))


async def rest(follower: Follower) -> bytes:
    with anyio.fail_after(TOO_LONG):
        return b"".join([batch.data async for batch in follower])


async def test_a_prompt_is_answered(app: App, model: ScriptedLLM, alice: Identity) -> None:
    model.say("To the sea.", Finish())

    data = await app.answered(alice)

    chat = await app.here.chat(alice)
    assert text_of(data) == "To the sea."
    assert [(message.role, message.text) for message in chat.messages] == [
        ("user", QUESTION),
        ("assistant", "To the sea."),
    ]


async def test_a_prompt_sent_twice_is_one_turn(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    first = await app.send(alice)
    again = await app.send(alice)
    model.say("To the sea.", Finish())
    data = await app.here.everything(first.stream_id)
    after_its_end = await app.send(alice)

    assert (first.created, again.created, after_its_end.created) == (True, False, False)
    assert first.stream_id == again.stream_id == after_its_end.stream_id
    assert text_of(data) == "To the sea."
    assert len(model.prompts) == 1
    assert len((await app.here.chat(alice)).messages) == 2


async def test_a_prompt_that_was_saved_but_not_scheduled_is_scheduled_when_sent_again(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    await app.here.chats.begin_turn(
        alice, chat_id=CHAT, message_id=MessageId(MESSAGE), text=QUESTION, model="scripted"
    )
    model.say("To the sea.", Finish())

    assert text_of(await app.answered(alice)) == "To the sea."
    assert len(model.prompts) == 1


async def test_a_second_prompt_meanwhile_is_refused_with_the_open_stream(
    app: App, alice: Identity
) -> None:
    turn = await app.send(alice)

    with pytest.raises(TurnInProgress) as refused:
        await app.send(alice, "And how?", message_id="prompt-2")

    assert refused.value.stream_id == turn.stream_id


@pytest.mark.parametrize("text", ["", " \n\t", "\0\0"])
async def test_a_prompt_without_text_is_refused(app: App, alice: Identity, text: str) -> None:
    with pytest.raises(InvalidRequest):
        await app.send(alice, text)

    assert (await app.here.chats.list_chats(alice)).chats == ()


async def test_a_prompt_that_is_too_long_is_refused(app: App, alice: Identity) -> None:
    with pytest.raises(PromptTooLarge):
        await app.send(alice, "x" * 1001)

    assert (await app.here.chats.list_chats(alice)).chats == ()


async def test_characters_that_no_database_can_hold_are_taken_out_of_a_prompt(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    model.say("To the sea.", Finish())
    turn = await app.send(alice, "Where\0 to \ud800?")
    await app.here.everything(turn.stream_id)

    assert (await app.here.chat(alice)).messages[0].text == "Where to ??"


# Stopping


async def test_a_stop_ends_the_answer_and_keeps_the_text_so_far(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    turn = await app.send(alice)
    model.say("To the ")
    seen = await app.here.watch(turn.stream_id, text="To the ")

    stopping = await app.turns.stop(alice, CHAT)

    data = await app.here.everything(turn.stream_id)
    assert stopping is not None
    assert (stopping.stream_id, stopping.cursor) == (turn.stream_id, len(frame.split(seen)))
    assert text_of(data) == "To the "
    assert (await app.here.chat(alice)).messages[-1].status == "stopped"
    assert await app.turns.stop(alice, CHAT) is None


async def test_there_is_nothing_to_stop_in_a_chat_of_somebody_else(
    app: App, model: ScriptedLLM, alice: Identity, bob: Identity
) -> None:
    turn = await app.send(alice)

    with pytest.raises(ChatNotFound):
        await app.turns.stop(bob, CHAT)
    with pytest.raises(ChatNotFound):
        await app.turns.resume(bob, CHAT)

    model.say("To the sea.", Finish())
    assert text_of(await app.here.everything(turn.stream_id)) == "To the sea."


# Resuming: open or closed × with or without a cursor × with or without a log


async def test_an_open_stream_is_resumed_from_the_cursor(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    turn = await app.send(alice)
    model.say("To the ")
    seen = frame.split(await app.here.watch(turn.stream_id, text="To the "))

    resumed = await app.turns.resume(alice, CHAT, after=2)

    model.say("sea.", Finish())
    whole = await app.here.everything(turn.stream_id)
    assert resumed is not None
    assert resumed.follower is not None
    assert b"".join(seen[:2]) + await rest(resumed.follower) == whole


async def test_an_open_stream_is_resumed_without_a_cursor_as_one_delta_and_then_live(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    turn = await app.send(alice)
    for word in ("To ", "the "):
        model.say(word)
        await app.here.watch(turn.stream_id, text=word)

    resumed = await app.turns.resume(alice, CHAT)

    assert resumed is not None
    assert resumed.follower is not None
    so_far = await resumed.follower.next()
    assert so_far is not None
    model.say("sea.", Finish())
    whole = await app.here.everything(turn.stream_id)
    replay = so_far.data + await rest(resumed.follower)
    assert text_of(replay) == text_of(whole) == "To the sea."
    assert len(frame.split(replay)) == len(frame.split(whole)) - 1


async def test_a_cursor_beyond_an_open_stream_is_refused(app: App, alice: Identity) -> None:
    await app.send(alice)

    with pytest.raises(InvalidOffset):
        await app.turns.resume(alice, CHAT, after=1000)


async def test_a_closed_stream_is_resumed_from_the_cursor(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    model.say("To the sea.", Finish())
    frames = frame.split(await app.answered(alice))

    for after in range(len(frames) + 1):
        resumed = await app.turns.resume(alice, CHAT, after=after)
        assert resumed is not None
        assert resumed.follower is not None
        assert frame.split(await rest(resumed.follower)) == frames[after:]


async def test_a_closed_stream_without_a_cursor_is_the_message_it_ended_in(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    model.say("To the sea.", Finish())
    await app.answered(alice)

    resumed = await app.turns.resume(alice, CHAT)

    assert resumed is not None
    assert resumed.follower is None
    assert resumed.reply == (await app.here.chat(alice)).messages[-1]


async def test_a_stream_that_ended_without_a_word_has_nothing_to_resume(
    app: App, alice: Identity
) -> None:
    turn = await app.send(alice)
    await app.turns.stop(alice, CHAT)
    await app.here.everything(turn.stream_id)

    resumed = await app.turns.resume(alice, CHAT)

    assert resumed is not None
    assert (resumed.follower, resumed.reply) == (None, None)


async def test_a_cursor_into_a_log_that_is_gone_is_answered_with_the_message(
    database: Database, redis_url: str, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process(redis_url, database, model) as here, here.working() as generations:
        app = App(here=here, generations=generations, turns=here.turns(generations))
        model.say("To the sea.", Finish())
        await app.answered(alice)
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
    async with server_process(redis_url, database, model) as later, later.working() as generations:
        turns = later.turns(generations)

        resumed = await turns.resume(alice, CHAT, after=3)
        again = await turns.send(alice, chat_id=CHAT, message_id=MESSAGE, text=QUESTION)
        followed = await turns.follow(alice, again)

        reply = (await later.chat(alice)).messages[-1]
    assert resumed is not None
    assert (resumed.follower, resumed.reply) == (None, reply)
    assert (followed.follower, followed.reply) == (None, reply)
    assert not again.created


async def test_a_log_that_has_just_expired_is_answered_with_the_message(
    database: Database, redis_url: str, model: ScriptedLLM, alice: Identity
) -> None:
    brief = LogOptions(log_ttl=timedelta(milliseconds=1), timeout=timedelta(seconds=2))
    async with (
        server_process(redis_url, database, model, options=brief) as here,
        here.working() as generations,
    ):
        app = App(here=here, generations=generations, turns=here.turns(generations))
        model.say("To the sea.", Finish())
        await app.answered(alice)
    async with server_process(redis_url, database, model) as later, later.working() as generations:
        resumed = await later.turns(generations).resume(alice, CHAT, after=0)

    assert resumed is not None
    assert resumed.follower is None
    assert resumed.reply is not None
    assert resumed.reply.text == "To the sea."


async def test_an_open_stream_that_the_store_has_lost_is_an_outage_worth_retrying(
    database: Database, redis_url: str, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process(redis_url, database, model) as here, here.working() as generations:
        # Another process has accepted the turn, but its producer has not opened the stream yet.
        begun = await here.chats.begin_turn(
            alice, chat_id=CHAT, message_id=MessageId(MESSAGE), text=QUESTION, model="scripted"
        )
        await StreamRepository(database).claim(alice, begun.stream.id)
        turns = here.turns(generations)
        turn = await turns.send(alice, chat_id=CHAT, message_id=MESSAGE, text=QUESTION)
        assert turn.stream_id == begun.stream.id

        with pytest.raises(LogUnavailable):
            await turns.resume(alice, CHAT)
        with pytest.raises(LogUnavailable):
            await turns.resume(alice, CHAT, after=3)
        with pytest.raises(LogUnavailable):
            await turns.follow(alice, turn)
        with pytest.raises(LogUnavailable):
            await turns.stop(alice, CHAT)


async def test_a_chat_that_does_not_exist_can_be_neither_resumed_nor_stopped(
    app: App, alice: Identity
) -> None:
    with pytest.raises(ChatNotFound):
        await app.turns.resume(alice, "unheard-of")
    with pytest.raises(ChatNotFound):
        await app.turns.stop(alice, "unheard-of")


# The store is down


async def test_with_the_store_down_nothing_is_written(
    own_redis: RedisServer, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process(own_redis.url, database, model) as here, here.working() as working:
        await anyio.to_thread.run_sync(own_redis.stop)

        with anyio.fail_after(TOO_LONG), pytest.raises(LogUnavailable):
            await here.turns(working).send(alice, chat_id=CHAT, message_id=MESSAGE, text=QUESTION)

        assert (await here.chats.list_chats(alice)).chats == ()
        await anyio.to_thread.run_sync(own_redis.start)


class ThenTheStoreDies(ChatRepository):
    """A repository whose store goes away as soon as a turn is in the database."""

    def __init__(self, database: Database, server: RedisServer) -> None:
        super().__init__(database)
        self._server = server

    async def begin_turn(self, *args: Any, **options: Any) -> BegunTurn:
        begun = await super().begin_turn(*args, **options)
        await anyio.to_thread.run_sync(self._server.stop)
        return begun


async def test_a_turn_whose_store_dies_before_it_is_scheduled_is_withdrawn(
    own_redis: RedisServer, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process(own_redis.url, database, model) as here, here.working() as working:
        turns = here.turns(working, chats=ThenTheStoreDies(database, own_redis))

        with anyio.fail_after(TOO_LONG), pytest.raises(LogUnavailable):
            await turns.send(alice, chat_id=CHAT, message_id=MESSAGE, text=QUESTION)

        assert (await here.chats.list_chats(alice)).chats == ()
        await anyio.to_thread.run_sync(own_redis.start)


async def test_a_turn_whose_queue_is_down_is_withdrawn_and_can_be_sent_again(
    own_redis: RedisServer,
    redis_url: str,
    database: Database,
    model: ScriptedLLM,
    alice: Identity,
) -> None:
    async with (
        server_process(own_redis.url, database, model) as queue,
        server_process(redis_url, database, model) as here,
        queue.working() as broken,
        here.working() as working,
    ):
        await anyio.to_thread.run_sync(own_redis.stop)

        with anyio.fail_after(TOO_LONG), pytest.raises(LogUnavailable):
            await here.turns(broken).send(alice, chat_id=CHAT, message_id=MESSAGE, text=QUESTION)

        assert (await here.chats.list_chats(alice)).chats == ()
        await anyio.to_thread.run_sync(own_redis.start)
        model.say("To the sea.", Finish())
        turn = await here.turns(working).send(
            alice, chat_id=CHAT, message_id=MESSAGE, text=QUESTION
        )
        assert turn.created
        assert text_of(await here.everything(turn.stream_id)) == "To the sea."


async def test_a_turn_that_was_claimed_despite_the_error_is_kept(
    own_redis: RedisServer, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    class TakenUp(ThenTheStoreDies):
        """A producer claims the turn before the store dies."""

        async def begin_turn(self, *args: Any, **options: Any) -> BegunTurn:
            begun = await super().begin_turn(*args, **options)
            await StreamRepository(database).claim(alice, begun.stream.id)
            return begun

    async with server_process(own_redis.url, database, model) as here, here.working() as working:
        turns = here.turns(working, chats=TakenUp(database, own_redis))

        with anyio.fail_after(TOO_LONG), pytest.raises(LogUnavailable):
            await turns.send(alice, chat_id=CHAT, message_id=MESSAGE, text=QUESTION)

        assert (await here.chat(alice)).open_stream is not None
        await anyio.to_thread.run_sync(own_redis.start)
