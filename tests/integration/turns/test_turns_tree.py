"""Edited, regenerated and continued turns, and operations on a chat as a whole."""

from collections.abc import AsyncGenerator

import anyio
import pytest

from chat_app.chats.database import Database
from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.repository import ChatRepository
from chat_app.errors import (
    ChatNotFound,
    InvalidRequest,
    LogUnavailable,
    PromptTooLarge,
    ProviderUnavailable,
    StreamNotFound,
    TurnInProgress,
)
from chat_app.generation.llm import Finish
from chat_app.identity.identity import Identity
from chat_app.streams.log import StreamLog
from chat_app.streams.model import StreamId
from chat_app.turn import Turn
from chat_app.turns import Turns
from chat_app.upkeep import Upkeep
from tests.support.redis_server import RedisServer
from tests.support.scripted_llm import Line, ScriptedLLM
from tests.support.server_process import (
    CHAT,
    QUESTION,
    TOO_LONG,
    ServerProcess,
    server_process,
    text_of,
)

pytestmark = pytest.mark.anyio

FIRST, SECOND = "prompt-1", "prompt-2"


class App:
    """One process at work, for one owner."""

    def __init__(
        self, here: ServerProcess, turns: Turns, model: ScriptedLLM, owner: Identity
    ) -> None:
        self.here = here
        self.turns = turns
        self.upkeep = Upkeep(chats=here.chats, log=here.log)
        self._model = model
        self._owner = owner

    async def ask(self, *lines: Line, message_id: str = FIRST) -> Turn:
        """Run a turn that is answered with `lines`."""
        turn = await self.turns.send(
            self._owner, chat_id=CHAT, message_id=message_id, text=QUESTION
        )
        await self.end(turn, *lines)
        return turn

    async def end(self, turn: Turn, *lines: Line) -> bytes:
        """Have the model say `lines`; return the turn's whole stream."""
        self._model.say(*lines)
        return await self.here.everything(turn.stream_id)

    async def path(self) -> list[str]:
        """Return the texts of the branch that is shown."""
        return [message.text for message in (await self.here.chat(self._owner)).active_path]


@pytest.fixture
async def app(
    store_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> AsyncGenerator[App]:
    async with (
        server_process(store_url, database, model) as here,
        here.working() as generations,
    ):
        yield App(here, here.turns(generations), model, alice)


async def test_an_edited_prompt_is_answered_beside_the_one_before(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    await app.ask("To the sea.", Finish())

    turn, again = [
        await app.turns.send(
            alice, chat_id=CHAT, message_id=SECOND, edited_id=FIRST, text="And when?"
        )
        for _ in range(2)
    ]
    await app.end(turn, "In May.", Finish())

    assert (again.stream_id, again.created) == (turn.stream_id, False)
    assert [message.text for message in model.prompts[-1].messages] == ["And when?"]
    assert await app.path() == ["And when?", "In May."]
    await app.upkeep.activate(alice, chat_id=CHAT, message_id=FIRST)
    assert await app.path() == [QUESTION, "To the sea."]


async def test_an_edited_prompt_has_the_limits_of_any_prompt(app: App, alice: Identity) -> None:
    await app.ask("To the sea.", Finish())

    for text, error in ((" ", InvalidRequest), ("x" * 1001, PromptTooLarge)):
        with pytest.raises(error):
            await app.turns.send(alice, chat_id=CHAT, message_id=SECOND, edited_id=FIRST, text=text)


async def test_a_prompt_can_be_sent_after_any_message(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    first = await app.ask("To the sea.", Finish())
    await app.ask("In May.", Finish(), message_id=SECOND)

    turn = await app.turns.send(
        alice, chat_id=CHAT, message_id="prompt-3", text="How?", parent_id=first.reply_id
    )
    await app.end(turn, "By train.", Finish())

    assert await app.path() == [QUESTION, "To the sea.", "How?", "By train."]
    asked = [message.text for message in model.prompts[-1].messages]
    assert asked == [QUESTION, "To the sea.", "How?"]


async def test_a_regenerated_reply_stands_beside_the_one_before(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    first = await app.ask("To the sea.", Finish())

    turn = await app.turns.regenerate(alice, chat_id=CHAT, message_id=first.reply_id)
    again = await app.turns.regenerate(alice, chat_id=CHAT, message_id=first.reply_id)
    with pytest.raises(TurnInProgress) as refused:
        await app.turns.send(alice, chat_id=CHAT, message_id=SECOND, text="And when?")
    await app.end(turn, "To the hills.", Finish())

    assert refused.value.stream_id == turn.stream_id == again.stream_id
    assert (turn.created, again.created) == (True, False)
    assert model.prompts[-1].prefix == ""
    assert await app.path() == [QUESTION, "To the hills."]
    siblings = (await app.here.chat(alice)).siblings(turn.reply_id)
    assert siblings == (first.reply_id, turn.reply_id)


async def test_a_reply_is_continued_as_the_same_message(
    app: App, model: ScriptedLLM, alice: Identity
) -> None:
    first = await app.ask("To the ", ProviderUnavailable("gone"))

    turn = await app.turns.continue_(alice, chat_id=CHAT)
    again = await app.turns.continue_(alice, chat_id=CHAT, message_id=first.reply_id)
    data = await app.end(turn, "sea.", Finish())

    assert (again.stream_id, again.created) == (turn.stream_id, False)
    assert turn.reply_id == first.reply_id
    assert turn.stream_id != first.stream_id
    assert text_of(data) == "To the sea."
    assert await app.path() == [QUESTION, "To the sea."]
    with pytest.raises(InvalidRequest):
        await app.turns.continue_(alice, chat_id=CHAT)


async def test_a_continuation_whose_store_is_down_leaves_the_reply_as_it_was(
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
        app = App(here, here.turns(working), model, alice)
        await app.ask("To the ", ProviderUnavailable("gone"))
        before = await here.chat(alice)
        await anyio.to_thread.run_sync(own_redis.stop)

        with anyio.fail_after(TOO_LONG), pytest.raises(LogUnavailable):
            await here.turns(broken).continue_(alice, chat_id=CHAT)

        after = await here.chat(alice)
        await anyio.to_thread.run_sync(own_redis.start)
    assert (after.messages, after.newest_stream) == (before.messages, before.newest_stream)


async def test_an_edit_whose_store_is_down_leaves_the_branch_that_was_shown(
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
        app = App(here, here.turns(working), model, alice)
        await app.ask("To the sea.", Finish())
        edit = {"chat_id": CHAT, "edited_id": FIRST, "text": "And when?"}
        await app.end(await app.turns.send(alice, message_id=SECOND, **edit), "In May.", Finish())
        await app.upkeep.activate(alice, chat_id=CHAT, message_id=FIRST)
        await anyio.to_thread.run_sync(own_redis.stop)

        with anyio.fail_after(TOO_LONG), pytest.raises(LogUnavailable):
            await here.turns(broken).send(alice, message_id="third", **edit)

        assert await app.path() == [QUESTION, "To the sea."]
        await anyio.to_thread.run_sync(own_redis.start)


# A chat as a whole


async def gone(log: StreamLog, stream_id: StreamId) -> None:
    with pytest.raises(StreamNotFound):
        await log.state(stream_id)


async def test_deleting_a_chat_deletes_its_logs(app: App, alice: Identity) -> None:
    turn = await app.ask("To the sea.", Finish())

    await app.upkeep.delete(alice, chat_id=CHAT)

    await gone(app.here.log, turn.stream_id)
    for attempt in (
        app.upkeep.delete(alice, chat_id=CHAT),
        app.turns.resume(alice, CHAT),
        app.turns.regenerate(alice, chat_id=CHAT),
    ):
        with pytest.raises(ChatNotFound):
            await attempt


async def test_a_chat_that_is_deleted_while_it_is_answered_ends_without_a_trace(
    app: App, model: ScriptedLLM, alice: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    turn = await app.turns.send(alice, chat_id=CHAT, message_id=FIRST, text=QUESTION)
    model.say("To the ")
    await app.here.watch(turn.stream_id, text="To the ")

    await app.upkeep.delete(alice, chat_id=CHAT)

    with anyio.fail_after(TOO_LONG):
        await model.idle()
    again = await app.ask("To the hills.", Finish())
    assert await app.path() == [QUESTION, "To the hills."]
    assert again.stream_id != turn.stream_id
    await gone(app.here.log, turn.stream_id)
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_chat_that_was_accepted_but_not_begun_can_be_deleted(
    app: App, alice: Identity
) -> None:
    # The process has not created the stream in the store yet.
    await app.here.chats.begin_turn(
        alice, chat_id=CHAT, message_id=MessageId(FIRST), text=QUESTION, model="scripted"
    )

    await app.upkeep.delete(alice, chat_id=CHAT)

    with pytest.raises(ChatNotFound):
        await app.here.chat(alice)


async def test_with_the_store_down_a_chat_is_not_deleted(
    own_redis: RedisServer, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    async with server_process(own_redis.url, database, model) as here:
        await here.ask(alice)
        await anyio.to_thread.run_sync(own_redis.stop)

        with anyio.fail_after(TOO_LONG), pytest.raises(LogUnavailable):
            await Upkeep(chats=here.chats, log=here.log).delete(alice, chat_id=CHAT)

        assert len((await here.chat(alice)).messages) == 1
        await anyio.to_thread.run_sync(own_redis.start)


class ThenTheStoreDies(ChatRepository):
    """A repository whose store goes away as soon as a chat is deleted."""

    def __init__(self, database: Database, server: RedisServer) -> None:
        super().__init__(database)
        self._server = server

    async def delete(self, identity: Identity, chat_id: ChatId) -> list[StreamId]:
        streams = await super().delete(identity, chat_id)
        await anyio.to_thread.run_sync(self._server.stop)
        return streams


async def test_logs_that_cannot_be_removed_are_left_to_expire(
    own_redis: RedisServer,
    database: Database,
    model: ScriptedLLM,
    alice: Identity,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server_process(own_redis.url, database, model) as here:
        await here.ask(alice)

        with anyio.fail_after(TOO_LONG):
            chats = ThenTheStoreDies(database, own_redis)
            await Upkeep(chats=chats, log=here.log).delete(alice, chat_id=CHAT)

        with pytest.raises(ChatNotFound):
            await here.chat(alice)
        assert any("left to expire" in record.getMessage() for record in caplog.records)
        await anyio.to_thread.run_sync(own_redis.start)


async def test_a_chat_can_be_given_another_name(app: App, alice: Identity) -> None:
    await app.ask("To the sea.", Finish())

    await app.upkeep.rename(alice, chat_id=CHAT, title=" By\n the \0sea ")

    assert (await app.here.chat(alice)).title == "By the sea"
    for wrong in ("", " \0\n", "x" * 201):
        with pytest.raises(InvalidRequest):
            await app.upkeep.rename(alice, chat_id=CHAT, title=wrong)
    assert (await app.here.chat(alice)).title == "By the sea"
