"""How chats and streams are begun, and how they are withdrawn."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from chat_app.chats.closing import STATUS
from chat_app.chats.models import EXISTING_CHAT, BegunTurn, ChatId, MessageId, Place
from chat_app.chats.queries import (
    find_chat,
    is_possible_id,
    new_id,
    newest_stream,
    not_found,
    stream_of,
    text_parts,
)
from chat_app.chats.search import folded
from chat_app.chats.tables import ChatRow, StreamRow
from chat_app.chats.tree import (
    add_message,
    find_message,
    has_children,
    newest_below,
    parent_of_prompt,
)
from chat_app.errors import InvalidRequest, TurnInProgress
from chat_app.identity.identity import Identity

_TITLE_LENGTH = 60


def title_of(prompt: str) -> str:
    """The first line of a prompt that is not blank, cut to 60 characters."""
    line = next(
        (stripped for line in prompt.splitlines() if (stripped := line.strip())), "New chat"
    )
    return line if len(line) <= _TITLE_LENGTH else line[: _TITLE_LENGTH - 1].rstrip() + "…"


async def begin_prompt(
    session: AsyncSession,
    identity: Identity,
    *,
    chat_id: ChatId,
    message_id: MessageId,
    text: str,
    model: str,
    parent_id: MessageId | Place | None,
    edited_id: MessageId | None,
) -> BegunTurn:
    """Add a prompt, in a new chat if need be, and open the stream that answers it.

    A message that already exists is not added again: see `ChatRepository.begin_turn`.
    """
    chat = await find_chat(session, identity, chat_id, lock=True, discarded=True)
    if chat is not None and chat.discarded_at is not None:
        raise not_found()
    if chat is None:
        if edited_id is not None or parent_id is EXISTING_CHAT:
            raise not_found()
        chat = await _add_chat(session, identity, chat_id, title=title_of(text))
    elif await find_message(session, chat, message_id) is not None:
        stream = await newest_stream(session, chat, prompt_id=message_id)
        if stream is None:
            msg = "this message is not a prompt"
            raise InvalidRequest(msg)
        if edited_id is not None:
            await _show_again(session, chat, message_id)
        return _already_begun(chat, stream)
    shown = _shown(chat)
    parent = await parent_of_prompt(session, chat, parent_id=parent_id, edited_id=edited_id)
    stream = await _open_stream(session, chat, prompt_id=message_id, model=model)
    await add_message(
        session,
        chat,
        message_id,
        parent_id=parent,
        role="user",
        parts=text_parts(text),
        status="complete",
        meta={},
        created_at=stream.created_at,
    )
    return BegunTurn(stream=stream_of(stream, chat=chat), created=True, shown_before=shown)


async def begin_reply(
    session: AsyncSession, chat: ChatRow, *, message_id: MessageId | None, model: str
) -> BegunTurn:
    """Open a stream for another reply beside `message_id`; see `ChatRepository.regenerate`."""
    prompt_id = await _prompt_of(session, chat, message_id or chat.active_message_id)
    newest = await newest_stream(session, chat)
    if (
        newest is not None
        and newest.outcome is None
        and newest.prompt_id == prompt_id
        and await find_message(session, chat, newest.reply_id) is None  # not a continuation
    ):
        return _already_begun(chat, newest)
    stream = await _open_stream(session, chat, prompt_id=prompt_id, model=model)
    return BegunTurn(stream=stream_of(stream, chat=chat), created=True)


async def begin_continuation(
    session: AsyncSession, chat: ChatRow, *, message_id: MessageId | None, model: str
) -> BegunTurn:
    """Open a stream that continues a reply; see `ChatRepository.continue_reply`."""
    reply = await find_message(session, chat, message_id or chat.active_message_id)
    made_by = await newest_stream(session, chat, reply_id=MessageId(reply.id)) if reply else None
    if reply is None or made_by is None:  # the reply failed without a word, or this is the prompt
        return await begin_reply(session, chat, message_id=message_id, model=model)
    if made_by.outcome is None:
        return _already_begun(chat, made_by)
    stream = await _open_stream(
        session,
        chat,
        prompt_id=MessageId(made_by.prompt_id),
        reply_id=MessageId(reply.id),
        model=made_by.model,
    )
    if reply.status == "complete" and reply.meta.get("finish_reason") != "length":
        msg = "the reply is complete: there is nothing to continue"
        raise InvalidRequest(msg)
    if await has_children(session, reply):
        msg = "only the last message of a branch can be continued"
        raise InvalidRequest(msg)
    reply.status = "unfinished"
    shown, chat.active_message_id = _shown(chat), reply.id
    return BegunTurn(stream=stream_of(stream, chat=chat), created=True, shown_before=shown)


def _already_begun(chat: ChatRow, stream: StreamRow) -> BegunTurn:
    if stream.outcome is None and stream.checkpointed_at is None:
        stream.checkpointed_at = datetime.now(UTC)  # promised twice: no longer to be withdrawn
    return BegunTurn(stream=stream_of(stream, chat=chat), created=False)


def _shown(chat: ChatRow) -> MessageId | None:
    return None if chat.active_message_id is None else MessageId(chat.active_message_id)


async def withdraw(
    session: AsyncSession, chat: ChatRow, stream: StreamRow, *, shown_before: MessageId | None
) -> None:
    """Remove a stream, its prompt if nothing else answered it, and the chat if it is then empty.

    A reply that was to be continued gets its old status back, and the branch shown before is shown
    again, if it is known. The caller has locked the chat and made sure that no producer has claimed
    the stream.
    """
    await session.delete(stream)
    await session.flush()
    reply = await find_message(session, chat, stream.reply_id)
    made_by = await newest_stream(session, chat, reply_id=MessageId(stream.reply_id))
    prompt = await find_message(session, chat, stream.prompt_id)
    answered_by = await newest_stream(session, chat, prompt_id=MessageId(stream.prompt_id))
    if reply is not None and made_by is not None and made_by.outcome is not None:
        reply.status = STATUS[made_by.outcome]
    elif prompt is not None and answered_by is None:
        await session.delete(prompt)
        await session.flush()
        chat.active_message_id = await newest_below(session, chat, prompt.parent_id)
    if await find_message(session, chat, shown_before) is not None:
        chat.active_message_id = shown_before
    if chat.active_message_id is None:
        await session.delete(chat)


async def _add_chat(
    session: AsyncSession, identity: Identity, chat_id: ChatId, *, title: str
) -> ChatRow:
    now = datetime.now(UTC)
    chat = ChatRow(
        key=new_id(),
        user_id=identity.user_id,
        id=chat_id,
        title=title,
        searchable=folded(title),
        created_at=now,
        updated_at=now,
    )
    session.add(chat)
    await session.flush()  # other rows will refer to it
    return chat


async def _show_again(session: AsyncSession, chat: ChatRow, prompt_id: MessageId) -> None:
    """Show the branch of a prompt that an edit leads back to, unless an answer is in progress."""
    newest = await newest_stream(session, chat)
    if newest is not None and newest.outcome is not None:
        chat.active_message_id = await newest_below(session, chat, prompt_id)


async def _open_stream(
    session: AsyncSession,
    chat: ChatRow,
    *,
    prompt_id: MessageId,
    model: str,
    reply_id: MessageId | None = None,
) -> StreamRow:
    newest = await newest_stream(session, chat)
    if newest is not None and newest.outcome is None:
        msg = "the chat is already being answered"
        raise TurnInProgress(msg, stream_id=newest.id)
    stream = StreamRow(
        id=new_id(),
        chat_key=chat.key,
        position=1 if newest is None else newest.position + 1,
        prompt_id=prompt_id,
        reply_id=reply_id or new_id(),
        model=model,
        created_at=datetime.now(UTC),
    )
    session.add(stream)
    chat.updated_at = stream.created_at
    return stream


async def _prompt_of(session: AsyncSession, chat: ChatRow, message_id: str | None) -> MessageId:
    """The prompt that `message_id` is, or answers, even if that reply failed without a word."""
    message = await find_message(session, chat, message_id)
    prompt_id = None
    if message is not None:
        prompt_id = message.id if message.role == "user" else message.parent_id
    elif message_id is not None and is_possible_id(message_id):
        query = select(StreamRow.prompt_id).where(
            StreamRow.chat_key == chat.key, col(StreamRow.reply_id) == message_id
        )
        prompt_id = await session.scalar(query.limit(1))
    if prompt_id is None:
        msg = "there is no such message to regenerate"
        raise InvalidRequest(msg)
    return MessageId(prompt_id)
