"""Access to the database: the URLs that are accepted, and what both kinds guarantee."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chat_app.chats.database import Database, driver_url, open_database
from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.repository import ChatRepository
from chat_app.errors import InvalidSettings
from chat_app.identity.identity import Identity, UserId

pytestmark = pytest.mark.anyio

TIMEOUT = 30


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///chat.db", "sqlite+aiosqlite:///chat.db"),
        ("sqlite:////var/chat.db", "sqlite+aiosqlite:////var/chat.db"),
        ("sqlite+aiosqlite:///chat.db", "sqlite+aiosqlite:///chat.db"),
        ("postgres://u:p@h:1/d", "postgresql+asyncpg://u:p@h:1/d"),
        ("postgresql://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql+asyncpg://h/d", "postgresql+asyncpg://h/d"),
        ("postgresql://h/d?sslmode=require", "postgresql+asyncpg://h/d?ssl=require"),
    ],
)
def test_a_url_gets_the_driver_that_does_not_block(given: str, used: str) -> None:
    assert driver_url(given).render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "chat.db",
        "mysql://h/d",
        "postgresql+psycopg2://h/d",
        "postgresql://h:port/d",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:chat?mode=memory&uri=true",
    ],
)
def test_a_url_that_cannot_work_is_refused_by_name_of_the_setting(wrong: str) -> None:
    with pytest.raises(InvalidSettings, match="DATABASE_URL"):
        driver_url(wrong)


async def test_a_row_cannot_refer_to_nothing(database: Database) -> None:
    nobody = Identity(user_id=UserId("nobody"))

    with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
        await ChatRepository(database).begin_turn(
            nobody, chat_id=ChatId("c"), message_id=MessageId("m"), text="Hi", model="demo"
        )


async def test_what_a_failed_transaction_wrote_is_gone(database: Database) -> None:
    async def write_and_fail() -> None:
        async with database.writing() as session:
            await session.execute(
                text("INSERT INTO \"user\" (id, created_at) VALUES ('u', '2026-01-01 00:00:00')")
            )
            raise LookupError

    with pytest.raises(LookupError):
        await write_and_fail()

    async with database.reading() as session:
        assert await session.scalar(text('SELECT count(*) FROM "user"')) == 0


async def test_a_reader_sees_one_moment_while_others_write(
    database: Database, other_process: Database
) -> None:
    count = text('SELECT count(*) FROM "user"')
    async with asyncio.timeout(TIMEOUT), database.reading() as session:
        before = await session.scalar(count)

        async with other_process.writing() as writer:
            await writer.execute(
                text("INSERT INTO \"user\" (id, created_at) VALUES ('u', '2026-01-01 00:00:00')")
            )

        assert await session.scalar(count) == before


async def test_sqlite_processes_that_read_then_write_wait_for_each_other(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'counter.db'}"

    async def count_up(database: Database) -> None:
        async with database.writing() as session:
            value = await session.scalar(text("SELECT value FROM counter"))
            await session.execute(text(f"UPDATE counter SET value = {value + 1}"))

    async with open_database(url) as here, open_database(url) as there:
        async with here.writing() as session:
            await session.execute(text("CREATE TABLE counter AS SELECT 0 AS value"))

        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*(count_up(database) for database in (here, there) * 20))

        async with here.reading() as session:
            assert await session.scalar(text("SELECT value FROM counter")) == 40


async def test_a_writer_that_is_cancelled_leaves_no_lock_behind(
    database: Database, other_process: Database
) -> None:
    begun = asyncio.Event()

    async def write() -> None:
        async with database.writing() as session:
            await session.execute(text("SELECT 1"))
            begun.set()
            await session.execute(text(_LONG_QUERY))

    ends: list[Any] = []  # the exceptions keep their queries from being garbage-collected
    for moments in range(0, 400, 20):
        begun.clear()
        writer = asyncio.create_task(write())
        await begun.wait()
        for _ in range(moments):
            await anyio.lowlevel.checkpoint()
        writer.cancel()
        ends += await asyncio.gather(writer, return_exceptions=True)

    with anyio.fail_after(5):
        async with other_process.writing() as session:
            await session.execute(text("DELETE FROM chat"))
    assert any(isinstance(end, asyncio.CancelledError) for end in ends)


async def test_a_sqlite_database_leaves_no_thread_behind_when_it_is_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'chat.db'}"

    async def write(database: Database) -> None:
        async with database.writing() as session:
            await session.execute(text("SELECT 1"))

    seen: set[threading.Thread] = set()
    left: set[threading.Thread] = set()
    for moments in range(60):
        before = _threads_of_connections()
        async with open_database(url) as database:
            writer = asyncio.create_task(write(database))
            for _ in range(moments):
                await anyio.lowlevel.checkpoint()
            writer.cancel()
            await asyncio.wait([writer])
            seen |= _threads_of_connections() - before
        left |= _threads_of_connections() - before

    assert seen
    assert left == set()


def _threads_of_connections() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "_connection_worker" in thread.name}


_LONG_QUERY = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
    "SELECT a.i FROM (SELECT max(i) AS i FROM n) a UNION ALL SELECT 2"
)
