"""The errors of the two databases that mean: it is away or locked, come back."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chat_app.errors import DatabaseUnavailable

# Not SQLITE_ERROR: that is a mistake in the query or the schema, which no waiting mends.
_SQLITE_OUTAGES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
# Connection lost or refused; out of resources; shutting down or starting up; a disk that fails.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_OUTAGES = ("08", "53", "57P", "58")


@contextmanager
def outages_translated() -> Generator[None]:
    """Raise `DatabaseUnavailable` for what means an outage; let every other error pass."""
    try:
        yield
    except Exception as error:
        # Any: while it connects, SQLAlchemy lets asyncpg's own errors and the system's through.
        if _is_outage(error):
            msg = f"the database does not answer ({type(error).__name__})"
            raise DatabaseUnavailable(msg) from error
        raise


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, OSError | PoolTimeout):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or (
            error.orig is not None and _has_code_of_an_outage(error.orig)
        )
    return _has_code_of_an_outage(error)


def _has_code_of_an_outage(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        # The low byte is the kind, the rest tells more of it.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_OUTAGES
    return str(getattr(error, "sqlstate", "")).startswith(_POSTGRES_OUTAGES)
