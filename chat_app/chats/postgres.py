"""Connections to a PostgreSQL server that may vanish without closing them.

If its host loses power or a failover moves its address, the kernel takes a quarter of an hour to
notice, or never does. Until then, whatever waits for an answer would go on waiting.
"""

from contextlib import suppress

import asyncpg  # pyright: ignore[reportMissingTypeStubs] # it has none
from sqlalchemy import URL, AdaptedConnection, ExceptionContext, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

_ANSWER_TIMEOUT = 2.0
"""Seconds for a connection to answer before it is reused; at most a quarter of the limit."""
_CLOSE_TIMEOUT = 0.5
"""Seconds for a connection to close; then it is aborted."""
_READ_ONLY = "25006"


class _Connection(asyncpg.Connection):
    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 # asyncpg's
        del timeout  # SQLAlchemy passes two seconds, or none
        with suppress(TimeoutError):
            await super().close(timeout=_CLOSE_TIMEOUT)  # pyright: ignore[reportUnknownMemberType] # untyped


def postgres_engine(target: URL, *, limit: float) -> AsyncEngine:
    """A pool that checks whether a connection is alive before it is used again.

    If one is dead, or its server no longer takes writes, all are replaced as they are needed.
    SQLAlchemy's own pre-ping does the first without a time limit, and does not do the second.

    Args:
        target: Where the database is.
        limit: Seconds for a transaction. The server ends one that has been idle for as long: its
            client is gone, and the rows it has locked must not stay locked.
    """
    engine = create_async_engine(target, connect_args={"connection_class": _Connection})
    pool, answer_timeout = engine.sync_engine, min(_ANSWER_TIMEOUT, limit / 4)

    @event.listens_for(pool, "connect")
    def set_up(connection: AdaptedConnection, _entry: object) -> None:
        # Not as a startup parameter: poolers refuse those they do not know.
        query = f"SET idle_in_transaction_session_timeout = {round(1000 * limit)}"
        connection.run_async(lambda driver: driver.execute(query))

    @event.listens_for(pool, "checkout")
    def check(connection: AdaptedConnection, entry: ConnectionPoolEntry, _proxy: object) -> None:
        if "used" not in entry.info:
            entry.info["used"] = True  # until the entry reconnects
            return
        try:
            connection.run_async(lambda driver: driver.execute("SELECT 1", timeout=answer_timeout))
        except Exception as error:  # whatever it is, a new connection may work
            raise InvalidatePoolError from error

    @event.listens_for(pool, "handle_error")
    def disconnect_if_read_only(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", "") == _READ_ONLY:
            context.is_disconnect = True  # after a failover: a new connection finds the new server

    return engine
