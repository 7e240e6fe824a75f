"""Connections to a PostgreSQL that may vanish without closing them.

A host that loses power, a failover that moves an address: the kernel takes a quarter of an hour to
notice. Until then whatever waits for an answer would wait.
"""

from contextlib import suppress

import asyncpg  # pyright: ignore[reportMissingTypeStubs] # none
from sqlalchemy import URL, AdaptedConnection, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

_ANSWER_TIMEOUT = 2.0
_GOODBYE_TIMEOUT = 0.5
"""Seconds that a connection which is not in use has to answer, and to be closed."""


class _Connection(asyncpg.Connection):
    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 # theirs
        limit = min(timeout or _GOODBYE_TIMEOUT, _GOODBYE_TIMEOUT)
        with suppress(TimeoutError):  # it is aborted then
            await super().close(timeout=limit)  # pyright: ignore[reportUnknownMemberType] # untyped


def postgres_engine(target: URL) -> AsyncEngine:
    """A pool that asks each connection whether it lives before it gives it away.

    If one does not, all are replaced as they are needed. SQLAlchemy's own pre-ping does the same
    without a limit.
    """
    engine = create_async_engine(target, connect_args={"connection_class": _Connection})

    @event.listens_for(engine.sync_engine, "checkout")
    def ask(connection: AdaptedConnection, entry: ConnectionPoolEntry, _proxy: object) -> None:
        if "used" not in entry.info:
            entry.info["used"] = True  # until the connection is made anew
            return
        try:
            connection.run_async(lambda driver: driver.execute("SELECT 1", timeout=_ANSWER_TIMEOUT))
        except Exception as error:  # whatever it is, a new connection may be better
            raise InvalidatePoolError from error

    return engine
