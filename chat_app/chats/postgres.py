"""Connections to a PostgreSQL that may vanish without closing them.

A host that loses power, a failover that moves an address: the kernel takes a quarter of an hour to
notice, or never does. Until then whatever waits for an answer would wait.
"""

from contextlib import suppress

import asyncpg  # pyright: ignore[reportMissingTypeStubs] # none
from sqlalchemy import URL, AdaptedConnection, ExceptionContext, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

_ANSWER_TIMEOUT = 2.0
"""Seconds that a connection has to answer before it is used again; a quarter of the limit at most."""
_GOODBYE_TIMEOUT = 0.5
"""Seconds that it has to be closed; then it is aborted."""
_READ_ONLY = "25006"


class _Connection(asyncpg.Connection):
    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 # theirs
        del timeout  # SQLAlchemy's is two seconds, or none
        with suppress(TimeoutError):
            await super().close(timeout=_GOODBYE_TIMEOUT)  # pyright: ignore[reportUnknownMemberType] # untyped


def postgres_engine(target: URL, *, limit: float) -> AsyncEngine:
    """A pool that gives no connection away twice before it has asked whether it lives.

    If one does not, or its server takes no writes any more, all are replaced as they are needed.
    SQLAlchemy's own pre-ping does the first without a limit, and not the second.

    Args:
        target: Where the database is.
        limit: Seconds for a transaction. One that has asked nothing of the server for as long is
            ended there: its client is gone, and the rows it has locked must not stay so.
    """
    engine = create_async_engine(target, connect_args={"connection_class": _Connection})
    pool, soon = engine.sync_engine, min(_ANSWER_TIMEOUT, limit / 4)

    @event.listens_for(pool, "connect")
    def set_up(connection: AdaptedConnection, _entry: object) -> None:
        # Not as a parameter of the connection: poolers refuse what they do not know.
        query = f"SET idle_in_transaction_session_timeout = {round(1000 * limit)}"
        connection.run_async(lambda driver: driver.execute(query))

    @event.listens_for(pool, "checkout")
    def ask(connection: AdaptedConnection, entry: ConnectionPoolEntry, _proxy: object) -> None:
        if "used" not in entry.info:
            entry.info["used"] = True  # until the connection is made anew
            return
        try:
            connection.run_async(lambda driver: driver.execute("SELECT 1", timeout=soon))
        except Exception as error:  # whatever it is, a new connection may be better
            raise InvalidatePoolError from error

    @event.listens_for(pool, "handle_error")
    def look(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", "") == _READ_ONLY:
            context.is_disconnect = True  # after a failover: the next one leads to the new server

    return engine
