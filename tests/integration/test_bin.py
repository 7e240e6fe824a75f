"""A deleted chat that is not restored is removed for good, even if the page is gone."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from chat_app.chats.chat_list import ChatList
from chat_app.chats.database import Database
from chat_app.chats.housekeeping import Housekeeping
from chat_app.chats.models import ChatId, MessageId
from chat_app.errors import ChatNotFound, LogUnavailable, StreamNotFound
from chat_app.identity.identity import Identity, UserId
from chat_app.upkeep import RESTORE_WINDOW, Bin, Upkeep
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import CHAT, TOO_LONG, ServerProcess, server_process

pytestmark = pytest.mark.anyio

OTHER = ChatId("other")


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
async def here(database: Database) -> AsyncGenerator[ServerProcess]:
    async with server_process("memory://", database, ScriptedLLM()) as here:
        yield here


def emptied(here: ServerProcess, housekeeping: Housekeeping, *, after: timedelta) -> Bin:
    """Return the bin, with a clock that is `after` ahead."""
    return Bin(
        Upkeep(chats=here.chats, log=here.log),
        housekeeping,
        interval=timedelta(0),
        clock=lambda: datetime.now(UTC) + after,
    )


async def test_a_chat_is_removed_with_its_log_once_it_can_no_longer_be_restored(
    here: ServerProcess, database: Database, alice: Identity, bob: Identity
) -> None:
    stream = await here.ask(alice)
    await here.ask(bob)
    await here.chats.begin_turn(
        alice, chat_id=OTHER, message_id=MessageId("m"), text="Stays", model="scripted"
    )
    kept = ChatList(database)
    await kept.discard(alice, CHAT)

    await emptied(here, Housekeeping(database), after=RESTORE_WINDOW / 2).empty()
    await kept.restore(alice, CHAT)
    await kept.discard(alice, CHAT)
    await emptied(here, Housekeeping(database), after=RESTORE_WINDOW * 2).empty()

    with pytest.raises(ChatNotFound):
        await kept.restore(alice, CHAT)
    with pytest.raises(StreamNotFound):
        await here.log.state(stream)
    assert [chat.id for chat in (await here.chats.list_chats(alice)).chats] == [OTHER]
    assert len((await here.chat(bob)).messages) == 1


class Troubled(Housekeeping):
    """Housekeeping whose first two rounds fail.

    Attributes:
        good_round: Set when a round has ended without failing.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.good_round = anyio.Event()
        self._troubles: list[Exception] = [LogUnavailable("away"), OSError("no disk")]
        self._rounds = 0

    async def discarded_chats(self, *, before: datetime) -> list[tuple[UserId, ChatId]]:
        if self._troubles:
            raise self._troubles.pop(0)
        self._rounds += 1
        if self._rounds > 1:
            self.good_round.set()
        gone = (UserId("somebody"), ChatId("removed-by-another-process"))
        return [gone, *await super().discarded_chats(before=before)]


async def test_a_failed_round_is_logged_and_the_next_one_removes_the_chat(
    here: ServerProcess, database: Database, alice: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    stream = await here.ask(alice)
    await ChatList(database).discard(alice, CHAT)

    troubled = Troubled(database)
    running = asyncio.create_task(emptied(here, troubled, after=RESTORE_WINDOW).run())
    with anyio.fail_after(TOO_LONG):
        await troubled.good_round.wait()
    running.cancel()
    await asyncio.wait([running])

    with pytest.raises(StreamNotFound):
        await here.log.state(stream)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
