"""The one way to close the row of a stream."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chat_app.chats.models import MessageStatus
from chat_app.chats.search import searchable
from chat_app.chats.tables import ChatRow, MessageRow, StreamRow
from chat_app.chats.tree import add_message
from chat_app.streams.model import OutcomeKind

STATUS: dict[str, MessageStatus] = {
    "completed": "complete",
    "stopped": "stopped",
    "failed": "failed",
    "interrupted": "interrupted",
}
"""The status that a stream's outcome gives its reply."""


async def close(
    session: AsyncSession,
    chat: ChatRow,
    stream: StreamRow,
    *,
    outcome: OutcomeKind,
    error_code: str | None,
    parts: list[dict[str, Any]] | None = None,
    meta: dict[str, Any] | None = None,
) -> None:
    """Close an open stream and save its reply, if there is one, as the assistant's message.

    A continued reply never loses text. The caller has locked the chat and made sure that the stream
    is open.

    Args:
        session: The transaction.
        chat: The chat.
        stream: Its stream.
        outcome: How it ended.
        error_code: Why it failed.
        parts: The whole reply; None for as much of it as the database has.
        meta: How it was made; None for what the database has.
    """
    now = datetime.now(UTC)
    reply = await session.get(MessageRow, (chat.key, stream.reply_id))
    before = [] if reply is None else reply.parts
    if not parts:
        parts = extended(before, stream.checkpoint if parts is None else "")
    if meta is None:
        meta = {} if reply is None else reply.meta
    ended = {"parts": parts, "status": STATUS[outcome], "meta": {"model": stream.model, **meta}}
    if reply is not None:
        reply.sqlmodel_update({**ended, "searchable": searchable(parts)})
    elif parts:
        await add_message(
            session,
            chat,
            stream.reply_id,
            parent_id=stream.prompt_id,
            role="assistant",
            created_at=now,
            **ended,
        )
    stream.outcome = outcome
    stream.error_code = error_code
    stream.closed_at = now
    stream.checkpoint = ""  # its text is in the message now
    chat.updated_at = now


def extended(parts: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """`parts`, extended until their text is `text`, which begins with the text they have."""
    so_far = sum(len(part["text"]) for part in parts if part.get("type") == "text")
    rest = text[so_far:]
    if not rest:
        return parts
    if parts and parts[-1].get("type") == "text":
        return [*parts[:-1], {**parts[-1], "text": parts[-1]["text"] + rest}]
    return [*parts, {"type": "text", "text": rest}]
