"""Where the rows live: SQLite by default, PostgreSQL by URL.

What differs between them is handled here, so that nothing above needs to know which one it is:

- SQLite (`sqlite.py`): a transaction that will write says so when it begins (`BEGIN IMMEDIATE`).
- PostgreSQL (`postgres.py`): queries lock the rows that need it (`SELECT … FOR UPDATE`). A
  transaction has a time limit of our own: its server may vanish without a word.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import URL, NullPool, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from chat_app.chats.outages import outages_translated
from chat_app.chats.sqlite import SqliteThreads, sqlite_engine, sqlite_migration_engine
from chat_app.errors import InvalidSettings

PATIENCE = timedelta(seconds=10)
"""Longest time for a transaction, normally milliseconds; on SQLite, longest wait to write."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


class Database:
    """Transactions on one database.

    Each raises `DatabaseUnavailable` if the database is away, silent or locked; its changes may
    have been committed all the same.
    """

    def __init__(self, engine: AsyncEngine, *, limit: float | None) -> None:
        self._limit = limit  # seconds; None if the driver has its own
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._readers = async_sessionmaker(_snapshots(engine), expire_on_commit=False)
        self._writers = async_sessionmaker(
            engine.execution_options(sqlite_begin="IMMEDIATE"), expire_on_commit=False
        )

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncSession]:
        """A transaction that only reads, and sees the database as of one moment."""
        with outages_translated():
            async with self._transaction(self._readers) as session:
                yield session

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncSession]:
        """A transaction that may read, then write; commits at the end unless the body raises."""
        with outages_translated():
            async with self._transaction(self._writers, commits=True) as session:
                yield session

    @asynccontextmanager
    async def deferred(self) -> AsyncGenerator[AsyncSession]:
        """A transaction of one statement, or whose first statement writes; commits at the end.

        On SQLite it takes its lock with its first statement (`BEGIN DEFERRED`).
        """
        with outages_translated():
            async with self._transaction(self._sessions, commits=True) as session:
                yield session

    @asynccontextmanager
    async def _transaction(
        self, sessions: async_sessionmaker[AsyncSession], *, commits: bool = False
    ) -> AsyncGenerator[AsyncSession]:
        if self._limit is None:
            async with sessions.begin() if commits else sessions() as session:
                yield session
            return
        async with asyncio.timeout(self._limit):
            # Not `async with`: SQLAlchemy shields its exit from interruption, even by the limit.
            session = sessions()
            try:
                yield session
                if commits:
                    await session.commit()
            finally:
                await session.close()


@asynccontextmanager
async def open_database(url: str, *, patience: timedelta = PATIENCE) -> AsyncGenerator[Database]:
    """Open the database at `url`; close its connections at the end.

    No connection is made before the first transaction. The schema is left to `migrate`.

    Args:
        url: As accepted by `driver_url`.
        patience: Longest time for one transaction; on SQLite, longest wait for its turn to write.

    Raises:
        InvalidSettings: `url` is not one that `driver_url` accepts.
    """
    target, limit = driver_url(url), patience.total_seconds()
    threads = SqliteThreads()
    # Off the event loop: this loads the driver and looks at the file's path.
    if target.get_backend_name() == "sqlite":
        engine = await asyncio.to_thread(sqlite_engine, target, timeout=limit, threads=threads)
        database = Database(engine, limit=None)
    else:
        engine = await asyncio.to_thread(_postgres_engine, target, limit)
        database = Database(engine, limit=limit)
    try:
        yield database
    finally:
        await engine.dispose()
        await threads.join(within=limit)


def _postgres_engine(target: URL, limit: float) -> AsyncEngine:
    from chat_app.chats.postgres import postgres_engine

    return postgres_engine(target, limit=limit)


def migration_engine(url: str) -> AsyncEngine:
    """An unpooled engine for changing the schema; on SQLite, see `sqlite_migration_engine`.

    Reads from the disk: do not call it on an event loop.

    Raises:
        InvalidSettings: `driver_url` does not accept `url`, or the file's folder does not exist.
    """
    target = driver_url(url)
    if target.get_backend_name() != "sqlite":
        return create_async_engine(target, poolclass=NullPool)
    folder = Path(target.database or "").parent
    if not folder.is_dir():
        msg = f"DATABASE_URL: the folder {folder} does not exist"
        raise InvalidSettings(msg)
    return sqlite_migration_engine(target, timeout=PATIENCE.total_seconds())


def driver_url(url: str) -> URL:
    """`url` with the asynchronous driver that this application uses.

    Accepts the forms that hosting providers hand out: `postgres://`, and libpq's `sslmode`.

    Raises:
        InvalidSettings: The URL cannot be parsed, names another kind of database, or keeps its data
            only in memory, where neither a second process nor a restart would find it.
    """
    try:
        target = make_url(url)
    except (ArgumentError, ValueError) as error:
        msg = "DATABASE_URL: not a database URL"
        raise InvalidSettings(msg) from error
    driver = _DRIVERS.get(target.drivername)
    if driver is None:
        msg = "DATABASE_URL: must start with sqlite:/// or postgresql://"
        raise InvalidSettings(msg)
    if driver.startswith("sqlite") and _in_memory(target):
        msg = "DATABASE_URL: SQLite needs a file: sqlite:///chat.db"
        raise InvalidSettings(msg)
    target = target.set(drivername=driver)
    if "sslmode" in target.query:
        mode = target.query["sslmode"]
        target = target.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return target


def _in_memory(target: URL) -> bool:
    return not target.database or ":memory:" in target.database or "mode" in target.query


def _snapshots(engine: AsyncEngine) -> AsyncEngine:
    """`engine` for transactions whose queries all see the same state: SQLite's always do."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
