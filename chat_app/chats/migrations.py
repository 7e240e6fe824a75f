"""Migrates the schema to the version that this code expects."""

import asyncio
import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_app.chats.database import migration_engine
from chat_app.errors import InvalidSettings

MIGRATION_LOCK = 7_166_328_415
"""The PostgreSQL advisory lock for changing the schema: a number that nothing else uses."""

# Alembic keeps its state in module globals: one migration at a time in each process.
_ALEMBIC = threading.Lock()
_ALEMBIC_INI = Path(__file__).resolve().parents[2] / "alembic.ini"


async def migrate(url: str) -> None:
    """Bring the schema of the database at `url` to the newest version.

    Safe to run in several processes at once: `alembic/env.py` takes a lock and does everything in
    one transaction, so a schema is never half migrated. Costs next to nothing if the schema is up
    to date. Runs in a thread of its own and from any working directory.

    Raises:
        InvalidSettings: There is no database at `url`, it cannot be reached, or its schema is
            newer than this code.
    """
    await asyncio.to_thread(_migrate, url)


def _migrate(url: str) -> None:
    config = Config(_ALEMBIC_INI)
    config.attributes["url"] = url
    newest = ScriptDirectory.from_config(config).get_current_head()
    if asyncio.run(_stored_version(migration_engine(url))) == newest:
        return
    try:
        with _ALEMBIC:
            command.upgrade(config, "head")
    except CommandError as error:
        msg = f"DATABASE_URL: the schema cannot be brought to version {newest}: {error}"
        raise InvalidSettings(msg) from error


async def _stored_version(engine: AsyncEngine) -> str | None:
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_current_revision)
    except (SQLAlchemyError, OSError) as error:
        msg = f"DATABASE_URL: the database cannot be opened: {error}"
        raise InvalidSettings(msg) from error
    finally:
        await engine.dispose()


def _current_revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
