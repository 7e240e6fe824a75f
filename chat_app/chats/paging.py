"""The list of a user's chats, one page at a time."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import and_, col, or_, select

from chat_app.chats.models import ChatId, ChatPage, ChatSummary
from chat_app.chats.tables import ChatRow, StreamRow
from chat_app.errors import InvalidRequest
from chat_app.identity.identity import Identity


async def page_of_chats(
    session: AsyncSession,
    identity: Identity,
    *,
    limit: int,
    before: str | None,
    pinned: bool | None,
) -> ChatPage:
    """See `ChatRepository.list_chats`."""
    answering = (
        select(StreamRow.id)
        .where(StreamRow.chat_key == ChatRow.key, col(StreamRow.outcome).is_(None))
        .exists()
    )
    query = select(ChatRow, answering).where(
        ChatRow.user_id == identity.user_id, col(ChatRow.discarded_at).is_(None)
    )
    if pinned is not None:
        query = query.where(col(ChatRow.pinned).is_(pinned))
    if before is not None:
        time, key = _parse_cursor(before)
        query = query.where(
            or_(
                col(ChatRow.updated_at) < time,
                and_(col(ChatRow.updated_at) == time, col(ChatRow.key) > key),
            )
        )
    query = query.order_by(col(ChatRow.updated_at).desc(), col(ChatRow.key)).limit(limit + 1)
    rows = (await session.execute(query)).all()
    return ChatPage(
        chats=tuple(
            ChatSummary(
                id=ChatId(chat.id),
                title=chat.title,
                created_at=chat.created_at,
                updated_at=chat.updated_at,
                answering=is_answering,
                pinned=chat.pinned,
                unread=not is_answering
                and (chat.read_at is None or chat.read_at < chat.updated_at),
            )
            for chat, is_answering in rows[:limit]
        ),
        next=_cursor(rows[limit - 1][0]) if len(rows) > limit else None,
    )


def _cursor(last: ChatRow) -> str:
    """The cursor after `last`: its time and its key, so that no chat with an equal time is lost."""
    return urlsafe_b64encode(f"{last.updated_at.isoformat()}/{last.key}".encode()).decode()


def _parse_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        time, _, key = urlsafe_b64decode(cursor).decode("ascii").partition("/")
        parsed = datetime.fromisoformat(time)
        in_utc = parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # overflow: a year out of range
        msg = "`before` is not a valid cursor"
        raise InvalidRequest(msg) from error
    if parsed.tzinfo is None or not key.isalnum():
        msg = "`before` is not a valid cursor"
        raise InvalidRequest(msg)
    return in_utc, key
