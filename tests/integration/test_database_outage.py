"""A database that is away: said in words of our own, and over when it is back."""

import sqlite3
from collections.abc import Coroutine, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

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
from tests.support.caller import Caller, events, prompt, rows
from tests.support.databases import PostgresServer, postgres_server
from tests.support.tcp_proxy import TcpProxy, tcp_proxy_in_thread

pytestmark = pytest.mark.anyio

TOO_LONG = 30
REPLIES = "SELECT status FROM message WHERE role = 'assistant'"
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


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[PostgresServer]:
    """One that may be broken; each test leaves it whole."""
    with postgres_server() as server:
        yield server


@pytest.mark.parametrize("how", ["stopped", "crashed", "silent"])
async def test_a_postgresql_that_is_away_is_an_outage_until_it_is_back(
    own_postgres: PostgresServer, how: str
) -> None:
    url = await run_sync(own_postgres.create_database)
    await migrate(url)
    async with open_database(url, patience=timedelta(seconds=3)) as database:
        await answers(database, at_once=10)  # as many connections are open now

        if how == "silent":
            own_postgres.pause()
        else:
            await run_sync(own_postgres.stop if how == "stopped" else own_postgres.crash)
        await refuses_everything(database)

        if how == "silent":
            own_postgres.resume()
        else:
            await run_sync(own_postgres.start)
        await answers(database, at_once=10)


async def test_connections_that_are_dead_and_do_not_say_so_are_replaced_before_they_are_used(
    own_postgres: PostgresServer,
) -> None:
    async with TcpProxy(port=own_postgres.port) as proxy:
        url = await run_sync(partial(own_postgres.create_database, port=proxy.port))
        await migrate(url)
        async with open_database(url) as database:
            await answers(database, at_once=10)
            proxy.swallow_all()

            await answers(database, at_once=1)
            await answers(database, at_once=10)


async def test_a_connection_that_dies_without_a_word_in_mid_transaction_is_an_outage(
    own_postgres: PostgresServer,
) -> None:
    async with TcpProxy(port=own_postgres.port) as proxy:
        url = await run_sync(partial(own_postgres.create_database, port=proxy.port))
        await migrate(url)
        async with open_database(url, patience=timedelta(seconds=3)) as database:
            with anyio.fail_after(TOO_LONG):
                with pytest.raises(DatabaseUnavailable):
                    await swallowed(database, proxy)

            await answers(database, at_once=1)


async def swallowed(database: Database, proxy: TcpProxy) -> None:
    async with database.writing() as session:
        await session.execute(text("SELECT 1"))
        proxy.swallow_all()
        await session.execute(text("SELECT 1"))


async def test_a_database_that_is_silent_is_closed_all_the_same(
    own_postgres: PostgresServer,
) -> None:
    url = await run_sync(own_postgres.create_database)
    await migrate(url)
    with anyio.fail_after(TOO_LONG):
        async with open_database(url) as database:
            await answers(database, at_once=2)
            own_postgres.pause()
    own_postgres.resume()


async def answers(database: Database, *, at_once: int) -> None:
    async def ask() -> None:
        with pytest.raises(ChatNotFound):
            await ChatRepository(database).read_chat(ALICE, CHAT)

    with anyio.fail_after(TOO_LONG):
        async with anyio.create_task_group() as group:
            for _ in range(at_once):
                group.start_soon(ask)


async def refuses_everything(database: Database) -> None:
    chats = ChatRepository(database)
    sessions = Sessions(database.at_once, lifetime=timedelta(days=1))

    async def refuses(attempt: Coroutine[Any, Any, object]) -> None:
        with pytest.raises(DatabaseUnavailable):
            await attempt

    with anyio.fail_after(TOO_LONG):
        async with anyio.create_task_group() as group:
            group.start_soon(refuses, chats.read_chat(ALICE, CHAT))
            group.start_soon(refuses, chats.regenerate(ALICE, CHAT, model="demo"))
            group.start_soon(refuses, sessions.resolve("token"))
            group.start_soon(refuses, sessions.create_guest())


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
    with running(server), Caller(server) as caller:
        with caller.send(server, "/demo tokens=20 rate=20 words=1", chat="c") as answer:
            seen = next(answer)
            with closing(sqlite3.connect(tmp_path / "chat.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                while "finish-step" not in kinds(seen):
                    seen += next(answer)
                before = rows(server, REPLIES)
                other.execute("ROLLBACK")
            seen += b"".join(answer)

        assert before == []
        assert rows(server, REPLIES) == [("complete",)]
        assert kinds(seen)[-1] == "finish"


def test_an_answer_whose_postgresql_crashes_is_saved_when_it_is_back(
    tmp_path: Path, own_postgres: PostgresServer
) -> None:
    url = own_postgres.create_database()
    server = AppServer(folder=tmp_path, settings={"DATABASE_URL": url})
    with (
        running(server),
        Caller(server) as caller,
        caller.send(server, "/demo tokens=20 rate=20 words=1", chat="c") as answer,
    ):
        seen = next(answer)
        own_postgres.crash()
        while "finish-step" not in kinds(seen):
            seen += next(answer)
        body = prompt("Are you there?", chat="d", message="m")
        refused = caller.http.post(f"{server.api}/api/chat", json=body)
        own_postgres.start()
        seen += b"".join(answer)

    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
    assert kinds(seen)[-1] == "finish"
    assert own_postgres.rows(url, REPLIES) == [("complete",)]
    assert own_postgres.rows(url, "SELECT count(*) FROM chat") == [(1,)]


def test_an_answer_whose_connections_to_postgresql_die_without_a_word_is_saved(
    tmp_path: Path, own_postgres: PostgresServer
) -> None:
    with tcp_proxy_in_thread(port=own_postgres.port) as proxy:
        url = own_postgres.create_database(port=proxy.port)
        server = AppServer(folder=tmp_path, settings={"DATABASE_URL": url})
        with running(server), Caller(server) as caller:
            with caller.send(server, "/demo tokens=20 rate=20 words=1", chat="c") as answer:
                seen = next(answer)
                proxy.swallow_all()
                seen += b"".join(answer)
            with caller.send(server, "/demo tokens=1", chat="d") as answer:
                more = b"".join(answer)

    assert kinds(seen)[-1] == kinds(more)[-1] == "finish"
    assert own_postgres.rows(url, REPLIES) == [("complete",), ("complete",)]


def kinds(data: bytes) -> list[str]:
    return [event["type"] for event in events(data)]
