"""How a chat and a stream come to be, and how they are taken back."""

from datetime import UTC, datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chat_app.chats.models import ChatId, MessageId
from chat_app.chats.queries import new_id, newest_stream
from chat_app.chats.tables import ChatRow, MessageRow, StreamRow
from chat_app.errors import TurnInProgress
from chat_app.identity.identity import Identity

_TITLE_LENGTH = 60


def title_of(prompt: str) -> str:
    """The first line of a prompt that says anything, cut to 60 characters."""
    line = next(
        (stripped for line in prompt.splitlines() if (stripped := line.strip())), "New chat"
    )
    return line if len(line) <= _TITLE_LENGTH else line[: _TITLE_LENGTH - 1].rstrip() + "…"


async def add_chat(
    session: AsyncSession, identity: Identity, chat_id: ChatId, *, title: str
) -> ChatRow:
    """Make a chat; `chat_id` must be new to this user."""
    now = datetime.now(UTC)
    chat = ChatRow(
        key=new_id(),
        user_id=identity.user_id,
        id=chat_id,
        title=title,
        created_at=now,
        updated_at=now,
    )
    session.add(chat)
    await session.flush()  # other rows are about to refer to it
    return chat


async def open_stream(
    session: AsyncSession, chat: ChatRow, *, prompt_id: MessageId, model: str
) -> StreamRow:
    """Open a stream that answers `prompt_id`. The caller has locked the chat, or just made it.

    Raises:
        TurnInProgress: One is open already.
    """
    newest = await newest_stream(session, chat)
    if newest is not None and newest.outcome is None:
        msg = "the chat is being answered already"
        raise TurnInProgress(msg, stream_id=newest.id)
    stream = StreamRow(
        id=new_id(),
        chat_key=chat.key,
        position=1 if newest is None else newest.position + 1,
        prompt_id=prompt_id,
        reply_id=new_id(),
        model=model,
        created_at=datetime.now(UTC),
    )
    session.add(stream)
    chat.updated_at = stream.created_at
    return stream


async def withdraw(session: AsyncSession, chat: ChatRow, stream: StreamRow) -> None:
    """Remove a stream, the prompt if nothing else answered it, and a chat that is empty then.

    The caller has locked the chat and made sure that nobody has claimed the stream.
    """
    prompt_id = MessageId(stream.prompt_id)
    await session.delete(stream)
    await session.flush()
    if await newest_stream(session, chat, prompt_id=prompt_id) is None:
        await session.execute(
            delete(MessageRow).where(
                col(MessageRow.chat_key) == chat.key, col(MessageRow.id) == prompt_id
            )
        )
    messages = select(MessageRow.id).where(MessageRow.chat_key == chat.key).limit(1)
    if await session.scalar(messages) is None:
        await session.delete(chat)
