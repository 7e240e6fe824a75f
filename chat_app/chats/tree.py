"""The messages of a chat as a tree: paths up, branches down, and where a new message goes."""

from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from chat_app.chats.models import MessageId, Place
from chat_app.chats.queries import is_possible_id
from chat_app.chats.search import searchable
from chat_app.chats.tables import ChatRow, MessageRow
from chat_app.errors import InvalidRequest


async def find_message(
    session: AsyncSession, chat: ChatRow, message_id: str | None
) -> MessageRow | None:
    """The message of `chat` with this id."""
    if message_id is None or not is_possible_id(message_id):
        return None
    return await session.get(MessageRow, (chat.key, message_id))


def path_to(chat_key: str, message_id: str) -> Select[MessageRow]:
    """The messages from the chat's beginning to `message_id`, in order."""
    path = (
        select(MessageRow.id, MessageRow.parent_id)
        .where(MessageRow.chat_key == chat_key, MessageRow.id == message_id)
        .cte("path", recursive=True)
    )
    path = path.union_all(
        select(MessageRow.id, MessageRow.parent_id).where(
            MessageRow.chat_key == chat_key, col(MessageRow.id) == path.c.parent_id
        )
    )
    return (
        select(MessageRow)
        .where(MessageRow.chat_key == chat_key, col(MessageRow.id).in_(select(path.c.id)))
        .order_by(col(MessageRow.position))
    )


async def add_message(
    session: AsyncSession, chat: ChatRow, message_id: str, *, parent_id: str | None, **content: Any
) -> None:
    """Add a message after `parent_id` and make its branch the active one.

    The caller has locked the chat, or has just created it.
    """
    newest = select(func.max(MessageRow.position)).where(MessageRow.chat_key == chat.key)
    position = (await session.scalar(newest) or 0) + 1
    session.add(
        MessageRow(
            chat_key=chat.key,
            id=message_id,
            parent_id=parent_id,
            position=position,
            searchable=searchable(content["parts"]),
            **content,
        )
    )
    chat.active_message_id = message_id


async def parent_of_prompt(
    session: AsyncSession,
    chat: ChatRow,
    *,
    parent_id: MessageId | Place | None,
    edited_id: MessageId | None,
) -> str | None:
    """The message that a new prompt follows; None if it begins the chat.

    Raises:
        InvalidRequest: The chat has no such message to follow, or no such prompt to edit.
    """
    if edited_id is not None:
        edited = await find_message(session, chat, edited_id)
        if edited is None or edited.role != "user":
            msg = "there is no such prompt to edit"
            raise InvalidRequest(msg)
        return edited.parent_id
    if isinstance(parent_id, Place):
        return chat.active_message_id
    if parent_id is not None and await find_message(session, chat, str(parent_id)) is None:
        msg = "there is no such message to follow"
        raise InvalidRequest(msg)
    return parent_id


async def newest_below(
    session: AsyncSession, chat: ChatRow, message_id: str | None
) -> MessageId | None:
    """The newest message below `message_id`, which is a leaf; `message_id` if there is none.

    Given None, it is the newest message of the chat.
    """
    query = select(MessageRow.id, MessageRow.parent_id).where(MessageRow.chat_key == chat.key)
    branch, leaf = {message_id}, message_id
    # A parent comes before its children in this order.
    for child, parent in await session.execute(query.order_by(col(MessageRow.position))):
        if parent in branch:
            branch.add(child)
            leaf = child
    return None if leaf is None else MessageId(leaf)


async def has_children(session: AsyncSession, message: MessageRow) -> bool:
    """Whether the chat went on after `message`."""
    query = select(MessageRow.id).where(
        MessageRow.chat_key == message.chat_key, MessageRow.parent_id == message.id
    )
    return await session.scalar(query.limit(1)) is not None
