"""Limits on the open streams of one user and the messages of one chat."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from chat_app.chats.models import BegunTurn
from chat_app.chats.tables import ChatRow, MessageRow, StreamRow
from chat_app.errors import ChatTooLong, RateLimited
from chat_app.identity.identity import Identity

_RETRY_AFTER = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatLimits:
    """The limits; 0 means none.

    Attributes:
        open_streams: Of one user, across all chats.
        messages: Of one chat, across all branches, including the prompt that is being added.
    """

    open_streams: int = 0
    messages: int = 0

    async def check(self, session: AsyncSession, identity: Identity, begun: BegunTurn) -> None:
        """Refuse a turn that exceeds a limit, before its transaction commits.

        A turn that had begun earlier is never refused. Turns that begin at the same moment in
        different chats do not see each other, so a few more streams than allowed can be open.

        Raises:
            RateLimited: The user has too many open streams.
            ChatTooLong: The chat has too many messages.
        """
        if not begun.created:
            return
        if self.open_streams:
            streams = select(func.count()).select_from(StreamRow).join(ChatRow)
            streams = streams.where(col(StreamRow.outcome).is_(None))
            of_user = streams.where(ChatRow.user_id == identity.user_id)
            if (await session.scalar(of_user) or 0) > self.open_streams:
                msg = f"at most {self.open_streams} answers at the same time"
                raise RateLimited(msg, retry_after=_RETRY_AFTER)
        if self.messages:
            messages = select(func.count()).select_from(MessageRow).join(ChatRow)
            messages = messages.where(ChatRow.user_id == identity.user_id)
            of_chat = messages.where(ChatRow.id == begun.stream.chat_id)
            # A continuation adds no message.
            continued = of_chat.where(MessageRow.id == begun.stream.reply_id)
            too_many = (await session.scalar(of_chat) or 0) > self.messages
            if too_many and not await session.scalar(continued):
                msg = f"a chat may have at most {self.messages} messages"
                raise ChatTooLong(msg)
