"""How Alembic reaches the database: from its command line, and from `chat_app.chats.migrations`.

The whole upgrade runs in one transaction under one lock, on both databases: processes that start
together migrate once, and an upgrade that fails leaves nothing behind.
"""

import asyncio
from logging.config import fileConfig
from typing import Literal

from alembic import context
from sqlalchemy import Connection, TypeDecorator, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from chat_app.chats.database import migration_engine
from chat_app.chats.migrations import MIGRATION_LOCK
from chat_app.chats.tables import ChatRow
from chat_app.identity.tables import UserRow

# Both packages have their tables in the same metadata.
[_METADATA] = {ChatRow.metadata, UserRow.metadata}


def _database_url() -> str:
    """Return the URL passed by the caller, else the one of `-x url=…`, else the setting."""
    url = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get(
        "url"
    )
    if url is None:
        # Imported only here: a server passes its URL and needs no settings.
        from chat_app.config import load_settings

        url = load_settings().database_url
    return url


def _render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Render plain SQLAlchemy types: migrations must not change when the models' types do."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=_METADATA,
        # SQLite cannot alter a column: Alembic rebuilds the table instead.
        render_as_batch=True,
        transactional_ddl=True,
        render_item=_render,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _migrate(engine: AsyncEngine) -> None:
    try:
        async with engine.begin() as connection:
            # SQLite's transaction keeps out other writers from its start; PostgreSQL's does not.
            if connection.dialect.name == "postgresql":
                await connection.execute(select(func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


if context.config.attributes.get("url") is None and context.config.config_file_name:
    # Only on the command line: a server has set up its own logging.
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)
# Alembic loads the migrations on first use; do that here, not on the event loop.
context.script.get_current_head()
asyncio.run(_migrate(migration_engine(_database_url())))
