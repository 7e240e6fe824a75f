"""A chat that is deleted just before its answer begins leaves nothing behind."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest

from chat_app.chats.database import Database
from chat_app.chats.models import BegunTurn, Claim
from chat_app.chats.repository import ChatRepository
from chat_app.chats.streams import StreamRepository
from chat_app.errors import ChatNotFound, StreamNotFound
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId
from chat_app.upkeep import Upkeep
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import CHAT, QUESTION, server_process

pytestmark = pytest.mark.anyio

TOO_LONG = 20


class Claims(StreamRepository):
    """Runs `then` between a claim and the opening of the log."""

    then: Callable[[], Awaitable[None]]

    async def claim(self, identity: Identity, stream_id: StreamId) -> Claim:
        claim = await super().claim(identity, stream_id)
        await self.then()
        return claim


class Chats(ChatRepository):
    """Runs `then` after the rows of a turn are written and before its log is created."""

    then: Callable[[], Awaitable[None]]

    async def begin_turn(self, *args: Any, **options: Any) -> BegunTurn:
        begun = await super().begin_turn(*args, **options)
        await self.then()
        return begun


async def test_the_answer_to_a_chat_deleted_before_its_log_is_opened_stops(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    claims = Claims(database)
    async with server_process(
        redis_url,
        database,
        model,
        streams=claims,
        checkpoint_interval=timedelta(milliseconds=50),
    ) as here:
        upkeep = Upkeep(chats=here.chats, log=here.log)
        claims.then = lambda: upkeep.delete(alice, chat_id=CHAT)
        async with here.working() as generations:
            turns = here.turns(generations)
            turn = await turns.send(alice, chat_id=CHAT, message_id="q", text=QUESTION)
            model.say("secret ")  # and then it is silent

            with anyio.fail_after(TOO_LONG):
                await gone(turn.stream_id, here.log.state)


async def test_no_viewer_waits_for_a_chat_deleted_before_its_log_was_created(
    redis_url: str, database: Database, model: ScriptedLLM, alice: Identity
) -> None:
    chats = Chats(database)
    async with server_process(redis_url, database, model) as here:
        upkeep = Upkeep(chats=here.chats, log=here.log)
        chats.then = lambda: upkeep.delete(alice, chat_id=CHAT)
        async with here.working() as generations:
            turns = here.turns(generations, chats=chats)
            turn = await turns.send(alice, chat_id=CHAT, message_id="q", text=QUESTION)

            async def wait() -> None:
                resumed = await turns.follow(alice, turn)
                assert resumed.follower is not None
                await resumed.follower.next()

            with anyio.fail_after(TOO_LONG), pytest.raises((StreamNotFound, ChatNotFound)):
                await wait()
            assert not model.prompts


async def gone(stream_id: StreamId, state: Callable[[StreamId], Awaitable[object]]) -> None:
    """Wait until a stream that was in the log is gone from it."""
    seen = False
    while True:
        try:
            await state(stream_id)
            seen = True
        except StreamNotFound:
            if seen:
                return
        await anyio.lowlevel.checkpoint()
