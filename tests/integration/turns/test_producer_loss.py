"""A setting decides whether an answer whose process died is continued or interrupted."""

from datetime import timedelta
from pathlib import Path
from typing import Literal

import anyio
import pytest

from chat_app.bootstrap import open_services
from chat_app.chats.database import open_database
from chat_app.chats.migrations import migrate
from chat_app.chats.streams import StreamRepository
from chat_app.config import Settings
from chat_app.identity.sessions import Sessions
from tests.support.scripted_llm import ScriptedLLM
from tests.support.server_process import CHAT, TOO_LONG, server_process

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("setting", "outcome"), [("continue", "completed"), ("interrupt", "interrupted")]
)
async def test_an_answer_whose_process_died_is_continued_or_interrupted(
    redis_url: str, tmp_path: Path, setting: Literal["continue", "interrupt"], outcome: str
) -> None:
    database_url = f"sqlite:///{tmp_path / 'chat.db'}"
    await migrate(database_url)
    async with open_database(database_url) as database:
        alice = (
            await Sessions(database.deferred, lifetime=timedelta(days=1)).create_guest()
        ).identity
        async with server_process(redis_url, database, ScriptedLLM()) as dead:
            stream_id = await dead.ask(alice, "/demo tokens=3 rate=1000 words=1")
            await StreamRepository(database).claim(alice, stream_id)
    settings = Settings(
        redis_url=redis_url,
        database_url=database_url,
        on_producer_loss=setting,
        # At startup the sweep takes care of streams without a checkpoint for four of these.
        checkpoint_interval=timedelta(milliseconds=1),
    )

    async with open_services(settings) as services:
        with anyio.fail_after(TOO_LONG):
            async for _ in await services.log.follow(stream_id):
                pass
        chat = await services.chats.read_chat(alice, CHAT)

    assert chat.newest_stream is not None
    assert chat.newest_stream.outcome == outcome
