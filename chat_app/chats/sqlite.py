"""Connections to a SQLite file.

- Write-ahead log: readers and the writer do not wait for each other. Foreign keys are enforced.
- A transaction that will write begins with `BEGIN IMMEDIATE`: one that reads before it writes fails
  at once if another process wrote in between, and no busy timeout helps.
- Each connection runs its queries in a thread of its own, which does not outlive the database.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from time import monotonic
from typing import Any
from weakref import WeakSet

import aiosqlite
from sqlalchemy import URL, Connection, NullPool, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


class SqliteThreads:
    """The threads of one engine's connections.

    A connection whose opening is cancelled, or a query on it cancelled twice, is told to close and
    then abandoned. Its thread may report back to an event loop that is gone.
    """

    def __init__(self) -> None:
        self._threads: WeakSet[Thread] = WeakSet()

    def connect(self, *args: Any, **options: Any) -> aiosqlite.Connection:
        """A connection that is not open yet, as from `aiosqlite.connect`."""
        connection = aiosqlite.connect(*args, **options)
        thread = connection._thread  # pyright: ignore[reportPrivateUsage] # there is no public way
        thread.daemon = True  # as SQLAlchemy does
        self._threads.add(thread)
        return connection

    async def join(self, *, within: float) -> None:
        """Wait for the threads to end.

        Args:
            within: Seconds to wait for each; only an open transaction keeps one for longer.
        """
        for thread in list(self._threads):
            if thread.is_alive():
                await asyncio.to_thread(thread.join, within)


def sqlite_engine(target: URL, *, timeout: float, threads: SqliteThreads) -> AsyncEngine:
    """A pool of connections.

    Args:
        target: Where the file is.
        timeout: Seconds that a transaction waits for its turn to write.
        threads: Opens the connections and keeps their threads.
    """
    # SQLAlchemy's own way to pass an `async_creator`, but this one also gets the URL's arguments.
    arguments = {**_arguments(timeout), "async_creator_fn": threads.connect}
    engine = create_async_engine(target, connect_args=arguments)
    _prepare(engine, on_connect=_enforce_foreign_keys)
    return engine


def sqlite_migration_engine(target: URL, *, timeout: float) -> AsyncEngine:
    """Unpooled connections for changing the schema; every transaction begins as a writing one.

    They switch on the write-ahead log, which the file then remembers, and leave foreign keys off:
    SQLite alters a table by rebuilding it, and dropping the old one would cascade.
    """
    engine = create_async_engine(target, poolclass=NullPool, connect_args=_arguments(timeout))
    _prepare(engine, on_connect=partial(_set_write_ahead_log, timeout=timeout))
    return engine.execution_options(sqlite_begin="IMMEDIATE")


def _arguments(timeout: float) -> dict[str, Any]:
    # isolation_level None: the driver begins no transaction by itself; `_prepare` does.
    return {"isolation_level": None, "timeout": timeout}


def _prepare(engine: AsyncEngine, *, on_connect: Callable[[Any], None]) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        on_connect(cursor)
        cursor.close()

    @event.listens_for(engine.sync_engine, "invalidate")
    def roll_back(connection: Any, _record: object, _error: object) -> None:
        # A query was cancelled. A connection closed with an unfinished statement keeps its lock
        # until it is garbage-collected, and no other connection can write.
        with suppress(Exception):  # the original error is the one to report
            connection.rollback()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")


def _enforce_foreign_keys(cursor: Any) -> None:
    cursor.execute("PRAGMA foreign_keys=ON")


def _set_write_ahead_log(cursor: Any, *, timeout: float) -> None:
    deadline = monotonic() + timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            # Several processes are creating the file at once. The pragma does not wait for the
            # others' locks; beginning a transaction does.
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        else:
            return
