"""How much one user, and one chat, may have."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from chat_app.chats.models import BegunTurn
from chat_app.chats.tables import ChatRow, MessageRow, StreamRow
from chat_app.errors import ChatTooLong, RateLimited
from chat_app.identity.identity import Identity

_COME_BACK = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatLimits:
    """What is allowed; 0 allows everything.

    Attributes:
        open_streams: Of one user, in all chats.
        messages: Of one chat, in all its branches, the newest prompt included.
    """

    open_streams: int = 0
    messages: int = 0

    async def check(self, session: AsyncSession, identity: Identity, begun: BegunTurn) -> None:
        """Refuse a turn that is about to begin, before the end of its transaction.

        What is there already is never refused. Turns that begin at the same moment in several
        chats do not see each other, so there can be a few more open streams than allowed.

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
                raise RateLimited(msg, retry_after=_COME_BACK)
        if self.messages:
            messages = select(func.count()).select_from(MessageRow).join(ChatRow)
            messages = messages.where(ChatRow.user_id == identity.user_id)
            of_chat = messages.where(ChatRow.id == begun.stream.chat_id)
            continued = of_chat.where(MessageRow.id == begun.stream.reply_id)  # adds no message
            too_many = (await session.scalar(of_chat) or 0) > self.messages
            if too_many and not await session.scalar(continued):
                msg = f"a chat has at most {self.messages} messages"
                raise ChatTooLong(msg)
