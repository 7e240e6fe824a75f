"""A user's list of chats: search, pin, mark as read, discard, restore, title."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from chat_app.chats.database import Database
from chat_app.chats.models import ChatId, FoundChat, MessageId
from chat_app.chats.queries import find_chat, is_possible_id, not_found
from chat_app.chats.search import folded, search_chats
from chat_app.chats.tables import ChatRow
from chat_app.identity.identity import Identity


class ChatList:
    """What is stored about a chat for the list alone; no change here moves a chat in the list.

    `pin`, `mark_read`, `discard` and `restore` raise `ChatNotFound` for a chat that does not exist
    or is not the user's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(
        self, identity: Identity, query: str, *, limit: int = 30
    ) -> tuple[FoundChat, ...]:
        """The chats that contain the words of `query`, up to eight of them; latest turn first.

        Each word may occur in the title or in any message, also within a longer word. Case does not
        matter; `%` and `_` are literal. A query without words finds nothing.
        """
        async with self._database.reading() as session:
            return await search_chats(session, identity, query, limit=limit)

    async def pin(self, identity: Identity, chat_id: ChatId, *, pinned: bool) -> None:
        """Pin a chat above all others, or unpin it."""
        await self._set(identity, chat_id, pinned=pinned)

    async def mark_read(self, identity: Identity, chat_id: ChatId) -> None:
        """Record that everything in a chat so far has been seen."""
        # The chat's own time, not the current one: two machines may disagree about that.
        await self._set(identity, chat_id, read_at=col(ChatRow.updated_at))

    async def discard(self, identity: Identity, chat_id: ChatId) -> None:
        """Discard a chat: it cannot be found anywhere until it is restored, or deleted for good.

        An answer in progress carries on, so that restoring the chat loses nothing.
        """
        await self._set(identity, chat_id, discarded_at=datetime.now(UTC))

    async def restore(self, identity: Identity, chat_id: ChatId) -> None:
        """Restore a discarded chat; one that is not discarded stays as it is."""
        async with self._database.writing() as session:
            chat = await find_chat(session, identity, chat_id, lock=True, discarded=True)
            if chat is None:
                raise not_found()
            chat.discarded_at = None

    async def title_by_model(
        self, identity: Identity, chat_id: ChatId, *, title: str, after: MessageId
    ) -> bool:
        """Give a chat a title made by a model, unless its owner was quicker.

        Args:
            identity: The owner.
            chat_id: The chat.
            title: The title.
            after: The reply that the chat ended in when the model was asked.

        Returns:
            Whether the title was set: False if the chat has been named, has changed, or is gone.
        """
        if not is_possible_id(chat_id):
            return False
        mine = (col(ChatRow.user_id) == identity.user_id, col(ChatRow.id) == chat_id)
        unnamed = (col(ChatRow.title_by) == "rule", col(ChatRow.active_message_id) == after)
        values = {"title": title, "searchable": folded(title), "title_by": "model"}
        async with self._database.deferred() as session:
            return await _updated(session, *mine, *unnamed, **values)

    async def _set(self, identity: Identity, chat_id: ChatId, **values: Any) -> None:
        mine = (col(ChatRow.user_id) == identity.user_id, col(ChatRow.id) == chat_id)
        there = col(ChatRow.discarded_at).is_(None)
        async with self._database.deferred() as session:
            if not is_possible_id(chat_id) or not await _updated(session, *mine, there, **values):
                raise not_found()


async def _updated(session: AsyncSession, *which: Any, **values: Any) -> bool:
    written = update(ChatRow).where(*which).values(**values).returning(col(ChatRow.key))
    return await session.scalar(written) is not None
