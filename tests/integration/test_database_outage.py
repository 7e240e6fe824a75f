"""A database outage: reported as our own error, and over when the database is back."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync
from sqlalchemy import make_url, text
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
def breakable_postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def own_postgres(breakable_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A PostgreSQL server that the test may break."""
    yield breakable_postgres
    breakable_postgres.mend()


@pytest.mark.parametrize("how", ["stopped", "crashed", "silent"])
async def test_a_postgresql_that_is_away_is_an_outage_until_it_is_back(
    own_postgres: PostgresServer, how: str
) -> None:
    url = await run_sync(own_postgres.create_database)
    await migrate(url)
    async with open_database(url, patience=timedelta(seconds=3)) as database:
        await answers(database, at_once=10)  # opens that many connections

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


async def test_silently_dead_connections_are_replaced_before_they_are_used(
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


@pytest.fixture
async def lossy(own_postgres: PostgresServer) -> AsyncGenerator[tuple[Database, TcpProxy]]:
    """A database with a used connection, and the proxy it goes through."""
    async with TcpProxy(port=own_postgres.port) as proxy:
        url = await run_sync(partial(own_postgres.create_database, port=proxy.port))
        await migrate(url)
        async with open_database(url, patience=timedelta(seconds=3)) as database:
            await write(database, "SELECT 1")
            yield database, proxy


async def write(database: Database, statement: str = "SELECT 2") -> None:
    async with database.writing() as session:
        await session.execute(text(statement))


async def read(database: Database) -> None:
    async with database.reading() as session:
        await session.execute(text("SELECT 2"))


async def fail(database: Database) -> None:
    async with database.writing() as session:
        await session.execute(text("SELECT 2"))
        raise LookupError


@pytest.mark.parametrize(
    ("attempt", "word"),
    [
        (write, b"BEGIN"),
        (write, b"SELECT 2"),
        (write, b"COMMIT;"),
        (read, b"ROLLBACK;"),
        (fail, b"ROLLBACK;"),
    ],
)
async def test_a_connection_that_is_lost_in_mid_transaction_is_an_outage(
    lossy: tuple[Database, TcpProxy], attempt: Callable[[Database], Awaitable[None]], word: bytes
) -> None:
    database, proxy = lossy
    proxy.lose_at(word)

    attempting = asyncio.ensure_future(attempt(database))
    await asyncio.wait([attempting], timeout=TOO_LONG)
    proxy.cut_all()  # the only way to end an attempt that waits for ever

    with pytest.raises(DatabaseUnavailable, match="TimeoutError"):
        await attempting
    await write(database)


async def test_a_caller_that_waits_for_a_commit_can_be_cancelled(
    own_postgres: PostgresServer,
) -> None:
    async with TcpProxy(port=own_postgres.port) as proxy:
        url = await run_sync(partial(own_postgres.create_database, port=proxy.port))
        async with open_database(url, patience=timedelta(hours=1)) as database:
            proxy.lose_at(b"COMMIT;")
            writing = asyncio.create_task(write(database))
            with anyio.fail_after(TOO_LONG):
                await proxy.lost()
                writing.cancel()
                await asyncio.wait([writing])

    assert writing.cancelled()


async def test_rows_that_a_lost_connection_has_locked_are_free_again(
    lossy: tuple[Database, TcpProxy],
) -> None:
    database, proxy = lossy
    lock = "LOCK TABLE chat IN EXCLUSIVE MODE"
    proxy.lose_at(b"COMMIT;")
    with pytest.raises(DatabaseUnavailable):
        await write(database, lock)

    with anyio.fail_after(TOO_LONG):
        while True:
            with suppress(DatabaseUnavailable):
                await write(database, lock)
                break


async def test_a_server_that_became_read_only_is_an_outage_until_it_accepts_writes_again(
    own_postgres: PostgresServer,
) -> None:
    url = await run_sync(own_postgres.create_database)
    await migrate(url)
    name = make_url(url).database
    async with open_database(url) as database:
        sessions = Sessions(database.deferred, lifetime=timedelta(days=1))
        only = f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'
        await run_sync(own_postgres.execute, only)
        with pytest.raises(DatabaseUnavailable):
            await sessions.create_guest()

        await run_sync(own_postgres.execute, f'ALTER DATABASE "{name}" RESET ALL')
        await sessions.create_guest()


async def test_a_silent_database_can_still_be_closed(
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
    sessions = Sessions(database.deferred, lifetime=timedelta(days=1))

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
            sessions=Sessions(away.deferred, lifetime=timedelta(days=1)),
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


@pytest.mark.parametrize("lost", ["all", "the one that commits"])
def test_an_answer_whose_connections_to_postgresql_die_without_a_word_is_saved(
    tmp_path: Path, own_postgres: PostgresServer, lost: str
) -> None:
    with tcp_proxy_in_thread(port=own_postgres.port) as proxy:
        url = own_postgres.create_database(port=proxy.port)
        settings = {"DATABASE_URL": url, "DATABASE_TIMEOUT": "3"}
        server = AppServer(folder=tmp_path, settings=settings)
        with running(server), Caller(server) as caller:
            with caller.send(server, "/demo tokens=20 rate=20 words=1", chat="c") as answer:
                seen = next(answer)
                if lost == "all":
                    proxy.swallow_all()
                else:
                    proxy.lose_at(b"COMMIT;")
                seen += b"".join(answer)
            with caller.send(server, "/demo tokens=1", chat="d") as answer:
                more = b"".join(answer)

    assert kinds(seen)[-1] == kinds(more)[-1] == "finish"
    assert own_postgres.rows(url, REPLIES) == [("complete",), ("complete",)]


def kinds(data: bytes) -> list[str]:
    return [event["type"] for event in events(data)]
