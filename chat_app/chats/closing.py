"""The one way in which the row of a stream is closed."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from chat_app.chats.models import MessageStatus
from chat_app.chats.queries import next_message_position
from chat_app.chats.tables import ChatRow, MessageRow, StreamRow
from chat_app.streams.model import OutcomeKind

_STATUS: dict[OutcomeKind, MessageStatus] = {
    "completed": "complete",
    "stopped": "stopped",
    "failed": "failed",
    "interrupted": "interrupted",
}


async def close(
    session: AsyncSession,
    chat: ChatRow,
    stream: StreamRow,
    *,
    parts: list[dict[str, Any]],
    outcome: OutcomeKind,
    error_code: str | None,
    meta: dict[str, Any] | None = None,
) -> None:
    """Close an open stream and keep `parts`, if there are any, as the assistant's message.

    The caller has locked the chat and made sure that the stream is open.
    """
    now = datetime.now(UTC)
    if parts:
        session.add(
            MessageRow(
                chat_key=chat.key,
                id=stream.reply_id,
                role="assistant",
                parts=parts,
                status=_STATUS[outcome],
                meta={"model": stream.model, **(meta or {})},
                position=await next_message_position(session, chat),
                created_at=now,
            )
        )
    stream.outcome = outcome
    stream.error_code = error_code
    stream.closed_at = now
    stream.checkpoint = ""  # the message has it from now on
    chat.updated_at = now
