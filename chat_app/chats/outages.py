"""The errors by which each database says that it is away or locked, and worth trying again."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chat_app.errors import DatabaseUnavailable

# Not SQLITE_ERROR: that is a mistake in the query or the schema, which waiting does not fix.
_SQLITE_OUTAGES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
# Connection lost or refused; out of resources; shutting down or starting up; a failing disk.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_OUTAGES = ("08", "53", "57P", "58")


@contextmanager
def outages_translated() -> Generator[None]:
    """Raise `DatabaseUnavailable` for an error that means an outage; let every other one pass."""
    try:
        yield
    except Exception as error:
        # Any exception: while connecting, SQLAlchemy lets through asyncpg's and the system's own.
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
        # The low byte is the primary code; the rest only refines it.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _SQLITE_OUTAGES
    return str(getattr(error, "sqlstate", "")).startswith(_POSTGRES_OUTAGES)
