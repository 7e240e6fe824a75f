"""Chats as their owner sees them: the side of the page and the API."""

from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from chat_app.chats.database import Database
from chat_app.chats.limits import ChatLimits
from chat_app.chats.models import (
    ACTIVE,
    BegunTurn,
    Chat,
    ChatId,
    ChatPage,
    Message,
    MessageId,
    Place,
    StreamRecord,
)
from chat_app.chats.opening import begin_continuation, begin_prompt, begin_reply, withdraw
from chat_app.chats.paging import page_of_chats
from chat_app.chats.queries import (
    is_possible_id,
    lock_stream,
    message_of,
    newest_stream,
    not_found,
    owned_chat,
    stream_of,
    whole_chat,
)
from chat_app.chats.search import folded
from chat_app.chats.tables import StreamRow
from chat_app.chats.tree import find_message, newest_below
from chat_app.errors import InvalidRequest, TurnInProgress
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId


class ChatRepository:
    """The chats of one user at a time: whoever asks sees only their own.

    Guarantees (tests/integration/test_chats*.py):
      Ownership   a chat of somebody else is `ChatNotFound`, exactly like one that does not exist.
      One turn    a prompt sent again, at the same moment too, is one message and one stream.
      One stream  at most one is open in a chat, whoever races whom.
      Tree        nothing that was said is lost: what replaces a message stands beside it.
    """

    def __init__(self, database: Database, *, limits: ChatLimits | None = None) -> None:
        self._database = database
        self._limits = limits or ChatLimits()

    async def begin_turn(
        self,
        identity: Identity,
        *,
        chat_id: ChatId,
        message_id: MessageId,
        text: str,
        model: str,
        parent_id: MessageId | Place | None = ACTIVE,
        edited_id: MessageId | None = None,
    ) -> BegunTurn:
        """Accept a prompt: its message and the open stream that will answer it, or neither.

        An unknown `chat_id` is a new chat. A `message_id` accepted before is not accepted again:
        the answer is the newest stream for it, and nothing is written. But an edit shows its
        branch again while nothing is being answered: it may lead back to a prompt of another one.

        Args:
            identity: Who asks.
            chat_id: Public id of the chat, made by the client.
            message_id: Id of the prompt's message, made by the client.
            text: The prompt; without NUL, which PostgreSQL cannot store.
            model: What will answer.
            parent_id: The message it follows upon; None for one that begins the chat anew.
            edited_id: The prompt beside which it goes, instead of a parent.

        Raises:
            TurnInProgress: The chat is being answered already; carries that stream.
            InvalidRequest: An id is impossible (see `ID_PATTERN`), or names no such message.
            ChatTooLong: The chat has too many messages.
            RateLimited: Too much is being answered for this user.
            ChatNotFound: No such chat for this user, to edit a prompt of it or to go on with.
        """
        if not (is_possible_id(chat_id) and is_possible_id(message_id)):
            msg = "an id is 1 to 128 letters, digits, - and _"
            raise InvalidRequest(msg)

        async def begin() -> BegunTurn:
            async with self._database.writing() as session:
                begun = await begin_prompt(
                    session,
                    identity,
                    chat_id=chat_id,
                    message_id=message_id,
                    text=text,
                    model=model,
                    parent_id=parent_id,
                    edited_id=edited_id,
                )
                await self._limits.check(session, identity, begun)
                return begun

        try:
            return await begin()
        except IntegrityError:
            # The chat's first two prompts came at once, when there was no row to lock. Now there is.
            return await begin()

    async def regenerate(
        self,
        identity: Identity,
        chat_id: ChatId,
        *,
        message_id: MessageId | None = None,
        model: str,
    ) -> BegunTurn:
        """Open a stream for another reply, beside the ones that are there.

        While that stream is open, the same again is the same stream.

        Args:
            identity: Who asks.
            chat_id: The chat.
            message_id: A reply, or the prompt to answer; None for the end of the active path.
            model: What will answer.

        Raises:
            ChatNotFound: No such chat for this user.
            TurnInProgress: Something else is being answered; carries that stream.
            InvalidRequest: The chat has no such message.
        """
        async with self._database.writing() as session:
            chat = await owned_chat(session, identity, chat_id, lock=True)
            begun = await begin_reply(session, chat, message_id=message_id, model=model)
            await self._limits.check(session, identity, begun)
            return begun

    async def continue_reply(
        self,
        identity: Identity,
        chat_id: ChatId,
        *,
        message_id: MessageId | None = None,
        model: str,
    ) -> BegunTurn:
        """Open a stream that goes on with a reply that ended too early; it keeps its id.

        Until that stream ends the reply is `unfinished`; the same again is the same stream. Where
        there is no reply to go on with, its prompt is answered anew.

        Args:
            identity: Who asks.
            chat_id: The chat.
            message_id: The reply; None for the end of the active path.
            model: What will answer where there is no reply yet; else the model stays.

        Raises:
            ChatNotFound: No such chat for this user.
            TurnInProgress: Something else is being answered; carries that stream.
            InvalidRequest: There is no such reply, or nothing to continue.
        """
        async with self._database.writing() as session:
            chat = await owned_chat(session, identity, chat_id, lock=True)
            begun = await begin_continuation(session, chat, message_id=message_id, model=model)
            await self._limits.check(session, identity, begun)
            return begun

    async def withdraw_turn(
        self,
        identity: Identity,
        chat_id: ChatId,
        stream_id: StreamId,
        *,
        shown_before: MessageId | None = None,
    ) -> bool:
        """Take back a stream that could not be started, with the prompt that it was to answer.

        Afterwards the same prompt can be sent again, as if for the first time. The branch is shown
        that was before, if it is known, or else the newest one beside the prompt.

        Returns:
            False, with nothing changed, when a producer has claimed it after all, or the same was
            asked again, or it is closed.

        Raises:
            ChatNotFound: No such stream in a chat of this user.
        """
        async with self._database.writing() as session:
            found = await lock_stream(session, identity, stream_id)
            if found is None or found[0].id != chat_id:
                raise not_found()
            chat, stream = found
            if stream.checkpointed_at is not None or stream.outcome is not None:
                return False
            await withdraw(session, chat, stream, shown_before=shown_before)
            return True

    async def newest_stream(
        self, identity: Identity, chat_id: ChatId, *, discarded: bool = False
    ) -> StreamRecord | None:
        """The stream begun last, open or closed; None when nothing was ever asked.

        Args:
            identity: Whose chat.
            chat_id: The chat.
            discarded: Look at it even when it is put away.

        Raises:
            ChatNotFound: No such chat for this user.
        """
        async with self._database.reading() as session:
            chat = await owned_chat(session, identity, chat_id, discarded=discarded)
            row = await newest_stream(session, chat)
            return None if row is None else stream_of(row, chat=chat)

    async def list_chats(
        self,
        identity: Identity,
        *,
        limit: int = 100,
        before: str | None = None,
        pinned: bool | None = None,
    ) -> ChatPage:
        """The chats of a user, the one with the latest turn first.

        Args:
            identity: Whose chats.
            limit: How many, at least 1.
            before: The cursor that came with the page before; None for the first page. A chat that
                gets a turn between two pages moves to the front; no other one is left out.
            pinned: Only those that are pinned, or only those that are not; None for all.

        Raises:
            InvalidRequest: `before` is not such a cursor.
        """
        async with self._database.reading() as session:
            return await page_of_chats(session, identity, limit=limit, before=before, pinned=pinned)

    async def read_chat(self, identity: Identity, chat_id: ChatId) -> Chat:
        """A chat with all its messages, as it was at one moment."""
        async with self._database.reading() as session:
            chat = await owned_chat(session, identity, chat_id)
            return await whole_chat(session, chat)

    async def read_message(
        self, identity: Identity, chat_id: ChatId, message_id: MessageId
    ) -> Message | None:
        """One message of a chat; None if the chat has no such message."""
        async with self._database.reading() as session:
            chat = await owned_chat(session, identity, chat_id)
            row = await find_message(session, chat, message_id)
            return None if row is None else message_of(row)

    async def activate(self, identity: Identity, chat_id: ChatId, *, message_id: MessageId) -> None:
        """Show the branch through a message, up to the newest message of that branch.

        Raises:
            ChatNotFound: No such chat for this user.
            TurnInProgress: The chat is being answered, and shows that; carries the stream.
            InvalidRequest: The chat has no such message.
        """
        async with self._database.writing() as session:
            chat = await owned_chat(session, identity, chat_id, lock=True)
            if await find_message(session, chat, message_id) is None:
                msg = "there is no such message in this chat"
                raise InvalidRequest(msg)
            newest = await newest_stream(session, chat)
            if newest is not None and newest.outcome is None:
                msg = "the chat is being answered"
                raise TurnInProgress(msg, stream_id=newest.id)
            chat.active_message_id = await newest_below(session, chat, message_id)

    async def rename(self, identity: Identity, chat_id: ChatId, *, title: str) -> None:
        """Call a chat something else; its place in the list stays."""
        async with self._database.writing() as session:
            chat = await owned_chat(session, identity, chat_id, lock=True)
            chat.title, chat.searchable, chat.title_by = title, folded(title), "user"

    async def delete(self, identity: Identity, chat_id: ChatId) -> list[StreamId]:
        """Remove a chat with all that is in it, also one that is put away.

        A producer at work on it finds nothing to write to any more.

        Returns:
            The streams it had; their logs are the caller's to remove.

        Raises:
            ChatNotFound: No such chat for this user.
        """
        async with self._database.writing() as session:
            chat = await owned_chat(session, identity, chat_id, lock=True, discarded=True)
            streams = await session.scalars(
                select(StreamRow.id).where(StreamRow.chat_key == chat.key)
            )
            ids = [StreamId(stream_id) for stream_id in streams]
            await session.delete(chat)
            return ids
