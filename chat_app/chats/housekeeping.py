"""Queries across all users: for the sweep, and for removing discarded chats."""

from datetime import datetime
from typing import Literal

from sqlmodel import col, func, select

from chat_app.chats.closing import close
from chat_app.chats.database import Database
from chat_app.chats.models import ChatId, OpenStream
from chat_app.chats.queries import lock_stream
from chat_app.chats.tables import ChatRow, StreamRow
from chat_app.identity.identity import UserId
from chat_app.streams.model import StreamId


class Housekeeping:
    """The only database code that looks across users, for the server itself.

    Never call it on behalf of a request.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_streams(self, *, idle_since: datetime) -> list[OpenStream]:
        """Open streams that have shown no sign of life since `idle_since`, oldest first.

        Signs of life are creation, a claim, a checkpoint, and a request repeated before any claim.
        """
        last_sign = func.coalesce(StreamRow.checkpointed_at, StreamRow.created_at)
        query = (
            select(StreamRow, ChatRow.user_id)
            .join(ChatRow, col(ChatRow.key) == StreamRow.chat_key)
            .where(col(StreamRow.outcome).is_(None), last_sign < idle_since)
            .order_by(col(StreamRow.created_at))
        )
        async with self._database.reading() as session:
            rows = (await session.execute(query)).all()
        return [
            OpenStream(
                user_id=UserId(user_id),
                stream_id=StreamId(stream.id),
                created_at=stream.created_at,
                checkpointed_at=stream.checkpointed_at,
            )
            for stream, user_id in rows
        ]

    async def discarded_chats(self, *, before: datetime) -> list[tuple[UserId, ChatId]]:
        """Chats discarded before a given time, each with its owner."""
        query = select(ChatRow.user_id, ChatRow.id).where(col(ChatRow.discarded_at) < before)
        async with self._database.reading() as session:
            rows = (await session.execute(query)).all()
        return [(UserId(user_id), ChatId(chat_id)) for user_id, chat_id in rows]

    async def close_stream(
        self,
        stream_id: StreamId,
        *,
        outcome: Literal["interrupted", "failed"] = "interrupted",
        error_code: str | None = None,
        idle_since: datetime | None = None,
    ) -> bool:
        """Close a stream without a producer, and keep what the database has of the reply.

        This fences a producer that only seemed dead: it can neither checkpoint nor finish.

        Args:
            stream_id: The stream.
            outcome: The outcome to close it with.
            error_code: Why it failed.
            idle_since: Leave it open if it has shown a sign of life since then after all.

        Returns:
            Whether this call closed it: False if it was closed already, is alive, or is gone.
        """
        async with self._database.writing() as session:
            found = await lock_stream(session, None, stream_id)
            if found is None:
                return False
            chat, stream = found
            last_sign = stream.checkpointed_at or stream.created_at
            alive = idle_since is not None and last_sign >= idle_since
            if stream.outcome is not None or alive:
                return False
            stream.fencing_token += 1
            await close(session, chat, stream, outcome=outcome, error_code=error_code)
            return True
