"""A database that is away: said in words of our own, and over when it is back."""

import sqlite3
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chat_app.api.app import create_api
from chat_app.api.services import Api
from chat_app.api.sse import Viewers
from chat_app.bootstrap import open_services
from chat_app.chats.database import Database, open_database
from chat_app.chats.migrations import migrate
from chat_app.chats.models import ChatId
from chat_app.chats.repository import ChatRepository
from chat_app.config import Settings
from chat_app.errors import ChatNotFound, DatabaseUnavailable
from chat_app.identity.identity import Identity, UserId
from chat_app.identity.sessions import Sessions
from tests.support.app_server import AppServer, running
from tests.support.asgi import request
from tests.support.caller import Caller, events, rows
from tests.support.databases import postgres_server

pytestmark = pytest.mark.anyio

TOO_LONG = 30
ALICE, CHAT = Identity(user_id=UserId("alice")), ChatId("holiday")


async def test_a_sqlite_file_whose_folder_is_gone_is_an_outage_until_it_is_back(
    tmp_path: Path,
) -> None:
    folder, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    folder.mkdir()
    url = f"sqlite:///{folder / 'chat.db'}"
    await migrate(url)
    folder.rename(elsewhere)

    async with open_database(url) as database:
        await refuses_everything(database)
        elsewhere.rename(folder)
        with pytest.raises(ChatNotFound):
            await ChatRepository(database).read_chat(ALICE, CHAT)


async def test_a_postgresql_that_stops_is_an_outage() -> None:
    with ExitStack() as stack:
        server = await run_sync(stack.enter_context, postgres_server())
        url = await run_sync(server.create_database)
        await migrate(url)
        async with open_database(url) as database:
            with pytest.raises(ChatNotFound):  # a connection is open now
                await ChatRepository(database).read_chat(ALICE, CHAT)
            await run_sync(stack.close)

            await refuses_everything(database)


async def refuses_everything(database: Database) -> None:
    chats = ChatRepository(database)
    sessions = Sessions(database.at_once, lifetime=timedelta(days=1))
    with anyio.fail_after(TOO_LONG):
        for attempt in (
            chats.read_chat(ALICE, CHAT),
            chats.regenerate(ALICE, CHAT, model="demo"),
            sessions.resolve("token"),
            sessions.create_guest(),
        ):
            with pytest.raises(DatabaseUnavailable):
                await attempt


async def test_a_mistake_in_a_query_is_no_outage(database: Database) -> None:
    async with database.reading() as session:
        with pytest.raises(DBAPIError):
            await session.execute(text("SELECT * FROM nothing"))

    async def ask() -> None:
        async with database.writing() as session:
            await session.execute(text("SELECT * FROM nothing"))

    with pytest.raises(DBAPIError):
        await ask()


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/session"), ("GET", "/api/ready")])
async def test_a_request_during_an_outage_is_told_to_come_back(
    tmp_path: Path, method: str, path: str
) -> None:
    api = create_api(max_body_bytes=10_000, allowed_origins=())
    async with (
        open_services(Settings(database_url=f"sqlite:///{tmp_path / 'chat.db'}")) as services,
        open_database(f"sqlite:///{tmp_path / 'nowhere' / 'chat.db'}") as away,
    ):
        api.state.api = Api(
            sessions=Sessions(away.at_once, lifetime=timedelta(days=1)),
            chats=services.chats,
            turns=services.turns,
            upkeep=services.upkeep,
            rates=services.rates,
            session_cookie="session",
            session_lifetime=timedelta(days=1),
            secure_cookies=False,
            heartbeat=timedelta(seconds=15),
            lifetime=None,
            viewers=Viewers(),
        )
        async with request(api, path, method=method) as exchange:
            exchange.send(b"")
            with anyio.fail_after(TOO_LONG):
                start, body = await exchange.start(), await exchange.body()

    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]
    assert b'"database_unavailable"' in body


def test_an_answer_whose_database_is_locked_ends_when_it_is_saved_and_not_before(
    tmp_path: Path,
) -> None:
    server = AppServer(folder=tmp_path)
    saved = "SELECT status FROM message WHERE role = 'assistant'"
    with running(server), Caller(server) as caller:
        with caller.send(server, "/demo tokens=20 rate=20 words=1", chat="c") as answer:
            seen = next(answer)
            with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                while "finish-step" not in kinds(seen):
                    seen += next(answer)
                before = rows(server, saved)
                other.execute("ROLLBACK")
            seen += b"".join(answer)

        assert before == []
        assert rows(server, saved) == [("complete",)]
        assert kinds(seen)[-1] == "finish"


def kinds(data: bytes) -> list[str]:
    return [event["type"] for event in events(data)]
