"""Settings become an application, and a shutdown keeps the answers in progress."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import pytest
from blockbuster import BlockBuster

from chat_app.bootstrap import Services, open_services, services
from chat_app.chats.database import Database
from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.repository import ChatRepository
from chat_app.config import Settings
from chat_app.errors import InvalidSettings, LogUnavailable
from chat_app.identity.identity import Identity
from chat_app.turns import Turn
from tests.support.litellm_model import allow_certificate_lookup
from tests.support.openai_server import OpenAIServer, answer
from tests.support.redis_server import RedisServer
from tests.support.server_process import text_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

TOO_LONG = 20
CHAT = ChatId("holiday")


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
async def provider() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


async def asked(opened: Services, owner: Identity, text: str) -> Turn:
    return await opened.turns.send(owner, chat_id=CHAT, message_id="prompt", text=text)


async def seen(opened: Services, owner: Identity, turn: Turn, *, until: str | None = None) -> str:
    """Return the text of an answer, read to its end or until it contains `until`."""
    data = b""
    resumed = await opened.turns.follow(owner, turn)
    assert resumed.follower is not None
    with anyio.fail_after(TOO_LONG):
        async for batch in resumed.follower:
            data += batch.data
            if until is not None and until in text_of(data):
                break
    return text_of(data)


async def test_with_nothing_set_the_demo_answers(database_url: str) -> None:
    async with open_services(Settings(database_url=database_url)) as opened:
        alice = (await opened.sessions.create_guest()).identity

        turn = await asked(opened, alice, "/demo tokens=3 rate=0 words=1")

        assert await seen(opened, alice, turn) == "w1 w2 w3 "
        assert (await opened.chats.read_chat(alice, CHAT)).messages[-1].text == "w1 w2 w3 "


async def test_the_parts_are_there_while_the_application_is_open(database_url: str) -> None:
    with pytest.raises(RuntimeError):
        services()

    async with open_services(Settings(database_url=database_url)) as opened:
        assert services() is opened

    with pytest.raises(RuntimeError):
        services()


async def test_the_start_logs_which_model_answers(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(database_url=database_url)
    async with open_services(settings):
        pass

    assert (logging.WARNING, settings.summary()) in [
        (record.levelno, record.getMessage()) for record in caplog.records
    ]


async def test_a_shutdown_keeps_the_answer_so_far(database_url: str, database: Database) -> None:
    async with open_services(Settings(database_url=database_url)) as opened:
        alice = (await opened.sessions.create_guest()).identity
        turn = await asked(opened, alice, "/demo tokens=5000 rate=100 words=1")
        text = await seen(opened, alice, turn, until="w5 ")

    chat = await ChatRepository(database).read_chat(alice, CHAT)
    assert chat.messages[-1].status == "interrupted"
    assert chat.messages[-1].text.startswith(text)
    assert chat.open_stream is None


async def test_a_stream_left_open_by_a_killed_process_is_closed_at_the_next_start(
    database_url: str, database: Database, alice: Identity
) -> None:
    chats = ChatRepository(database)
    await chats.begin_turn(
        alice, chat_id=CHAT, message_id=MessageId("prompt"), text="Where to?", model="demo"
    )

    async with open_services(Settings(database_url=database_url)):
        chat = await chats.read_chat(alice, CHAT)

    assert chat.newest_stream is not None
    assert chat.newest_stream.outcome == "interrupted"


async def test_an_answer_outlives_the_process_that_began_it(
    database_url: str, redis_url: str
) -> None:
    settings = Settings(database_url=database_url, redis_url=redis_url)
    async with open_services(settings) as opened:
        alice = (await opened.sessions.create_guest()).identity
        turn = await asked(opened, alice, "/demo tokens=60 rate=100 words=1")
        await seen(opened, alice, turn, until="w5 ")

    async with open_services(settings) as opened:
        text = await seen(opened, alice, turn)

        reply = (await opened.chats.read_chat(alice, CHAT)).messages[-1]
    assert text == reply.text == "".join(f"w{number} " for number in range(1, 61))
    assert (reply.id, reply.status) == (turn.reply_id, "complete")


async def test_a_store_that_is_away_does_not_prevent_the_start(
    absent_redis: RedisServer, database_url: str
) -> None:
    settings = Settings(
        database_url=database_url,
        redis_url=absent_redis.url,
        store_timeout=timedelta(seconds=1),
    )
    async with open_services(settings) as opened:
        alice = (await opened.sessions.create_guest()).identity
        with anyio.fail_after(TOO_LONG), pytest.raises(LogUnavailable):
            await asked(opened, alice, "/demo tokens=3 rate=0 words=1")

        await anyio.to_thread.run_sync(absent_redis.start)

        with anyio.fail_after(TOO_LONG):
            turn = await send_until_accepted(opened, alice)
        assert await seen(opened, alice, turn) == "w1 w2 w3 "


async def send_until_accepted(opened: Services, owner: Identity) -> Turn:
    """Send a prompt until it is accepted, once the store is back; return the turn."""
    while True:
        try:
            return await asked(opened, owner, "/demo tokens=3 rate=0 words=1")
        except LogUnavailable:
            await anyio.lowlevel.checkpoint()


async def test_a_real_model_answers_when_one_is_set(
    provider: OpenAIServer, database_url: str, blockbuster: BlockBuster
) -> None:
    allow_certificate_lookup(blockbuster)
    provider.script(answer("To the ", "sea."))
    settings = Settings.model_validate(
        {
            "database_url": database_url,
            "chat_model": "openai/test-model",
            "model_api_base": provider.base_url,
            "model_api_key": "sk-test",
        }
    )
    async with open_services(settings) as opened:
        alice = (await opened.sessions.create_guest()).identity

        turn = await asked(opened, alice, "Where to?")

        assert await seen(opened, alice, turn) == "To the sea."
    assert provider.requests[0].messages[0]["content"] == settings.system_prompt


async def test_a_model_of_no_known_provider_stops_the_start(database_url: str) -> None:
    settings = Settings(database_url=database_url, chat_model="no-such-model")

    with pytest.raises(InvalidSettings, match="CHAT_MODEL"):
        async with open_services(settings):
            pass
