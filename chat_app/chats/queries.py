"""Finds rows, always through their owner, and turns them into plain values."""

import re
from typing import Any, cast
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chat_app.chats.models import (
    ID_PATTERN,
    Chat,
    ChatId,
    Message,
    MessageId,
    MessageStatus,
    Role,
    StreamRecord,
)
from chat_app.chats.tables import ChatRow, MessageRow, StreamRow
from chat_app.errors import ChatNotFound
from chat_app.identity.identity import Identity
from chat_app.streams.model import OutcomeKind, StreamId


def new_id() -> str:
    """A new id, unique and impossible to guess."""
    return uuid4().hex


def is_possible_id(value: str) -> bool:
    """Whether an id can exist at all: 1 to 128 ASCII letters, digits, `-` and `_`."""
    return re.fullmatch(ID_PATTERN, value) is not None


async def find_chat(
    session: AsyncSession,
    identity: Identity,
    chat_id: ChatId,
    *,
    lock: bool = False,
    discarded: bool = False,
) -> ChatRow | None:
    """The chat that `identity` calls `chat_id`.

    Args:
        session: The transaction.
        identity: The user whose chats are searched.
        chat_id: Its public id.
        lock: Keep others from opening, closing or claiming a stream in it until the transaction
            ends. Whatever a decision is based on must be read after this.
        discarded: Find it even if it is discarded.
    """
    if not is_possible_id(chat_id):
        return None
    query = select(ChatRow).where(ChatRow.user_id == identity.user_id, ChatRow.id == chat_id)
    if not discarded:
        query = query.where(col(ChatRow.discarded_at).is_(None))
    return await session.scalar(query.with_for_update() if lock else query)


async def owned_chat(
    session: AsyncSession,
    identity: Identity,
    chat_id: ChatId,
    *,
    lock: bool = False,
    discarded: bool = False,
) -> ChatRow:
    """Like `find_chat`, for a chat that must exist.

    Raises:
        ChatNotFound: It does not, or belongs to somebody else.
    """
    chat = await find_chat(session, identity, chat_id, lock=lock, discarded=discarded)
    if chat is None:
        raise not_found()
    return chat


async def lock_stream(
    session: AsyncSession, identity: Identity | None, stream_id: StreamId
) -> tuple[ChatRow, StreamRow] | None:
    """A stream and its chat, locked as by `find_chat`; None if `identity` owns no such stream.

    Without an identity it finds any user's stream, which is for housekeeping alone.
    """
    if not is_possible_id(stream_id):
        return None
    query = (
        select(ChatRow)
        .join(StreamRow, col(StreamRow.chat_key) == ChatRow.key)
        .where(StreamRow.id == stream_id)
        .with_for_update(of=ChatRow)
    )
    if identity is not None:
        query = query.where(ChatRow.user_id == identity.user_id)
    chat = await session.scalar(query)
    # Read separately from the chat, and after it: a PostgreSQL query that had to wait for its lock
    # sees the new state of the rows it locks, but the old state of those it joins.
    stream = None if chat is None else await session.get(StreamRow, stream_id)
    return None if chat is None or stream is None else (chat, stream)


def not_found() -> ChatNotFound:
    """The error for a chat that is missing or somebody else's: it does not tell which."""
    return ChatNotFound("no such chat")


async def newest_stream(
    session: AsyncSession,
    chat: ChatRow,
    *,
    prompt_id: MessageId | None = None,
    reply_id: MessageId | None = None,
) -> StreamRow | None:
    """The stream begun last: of all, or of those that answer `prompt_id` or make `reply_id`."""
    query = select(StreamRow).where(StreamRow.chat_key == chat.key)
    if prompt_id is not None:
        query = query.where(StreamRow.prompt_id == prompt_id)
    if reply_id is not None:
        query = query.where(StreamRow.reply_id == reply_id)
    return await session.scalar(query.order_by(col(StreamRow.position).desc()).limit(1))


async def whole_chat(session: AsyncSession, row: ChatRow) -> Chat:
    """`row` with all its messages."""
    stream = await newest_stream(session, row)
    query = select(MessageRow).where(MessageRow.chat_key == row.key)
    messages = await session.scalars(query.order_by(col(MessageRow.position)))
    return Chat(
        id=ChatId(row.id),
        title=row.title,
        created_at=row.created_at,
        updated_at=row.updated_at,
        messages=tuple(message_of(message) for message in messages),
        newest_stream=None if stream is None else stream_of(stream, chat=row),
        active_message_id=MessageId(row.active_message_id) if row.active_message_id else None,
    )


def text_parts(text: str) -> list[dict[str, Any]]:
    """The parts of a message that consists of `text`; no parts if it is empty."""
    return [{"type": "text", "text": text}] if text else []


def message_of(row: MessageRow) -> Message:
    """`row` as a plain value."""
    return Message(
        id=MessageId(row.id),
        role=cast("Role", row.role),
        parts=tuple(row.parts),
        status=cast("MessageStatus", row.status),
        meta=row.meta,
        created_at=row.created_at,
        parent_id=None if row.parent_id is None else MessageId(row.parent_id),
    )


def stream_of(row: StreamRow, *, chat: ChatRow) -> StreamRecord:
    """`row` as a plain value."""
    return StreamRecord(
        id=StreamId(row.id),
        chat_id=ChatId(chat.id),
        prompt_id=MessageId(row.prompt_id),
        reply_id=MessageId(row.reply_id),
        model=row.model,
        created_at=row.created_at,
        claimed=row.fencing_token > 0,
        outcome=outcome_of(row),
        error_code=row.error_code,
        closed_at=row.closed_at,
    )


def outcome_of(row: StreamRow) -> OutcomeKind | None:
    """How the stream closed; None while it is open."""
    return cast("OutcomeKind | None", row.outcome)
