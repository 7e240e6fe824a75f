"""Chats as their owner sees them, for the page and the API."""

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
    """The chats of one user at a time: users see only their own.

    Guarantees (tests/integration/test_chats*.py):
      Ownership   somebody else's chat is `ChatNotFound`, exactly like one that does not exist.
      One turn    a prompt sent twice, even at the same moment, is one message and one stream.
      One stream  at most one is open in a chat, however requests race.
      Tree        nothing that was said is lost: a replacement stands beside what it replaces.
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
        """Accept a prompt: save its message and open the stream that will answer it, or neither.

        An unknown `chat_id` begins a new chat. A `message_id` accepted before adds nothing: its
        newest stream is returned. But an edit shows its branch again unless an answer is in
        progress: it may lead back to a prompt on another branch.

        Args:
            identity: The user.
            chat_id: Public id of the chat, chosen by the client.
            message_id: Id of the prompt's message, chosen by the client.
            text: The prompt; without NUL, which PostgreSQL cannot store.
            model: The model that will answer.
            parent_id: The message it follows; None to begin the chat anew.
            edited_id: The prompt to stand beside, instead of following a parent.

        Raises:
            TurnInProgress: An answer is in progress in the chat; carries its stream.
            InvalidRequest: An id is impossible (see `ID_PATTERN`), or names no such message.
            ChatTooLong: The chat has too many messages.
            RateLimited: The user has too many open streams.
            ChatNotFound: The chat is discarded; or missing, for an edit or `EXISTING_CHAT`.
        """
        if not (is_possible_id(chat_id) and is_possible_id(message_id)):
            msg = "an id must be 1 to 128 letters, digits, - or _"
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
            # The chat's first two prompts raced when there was no row to lock. Now there is one.
            return await begin()

    async def regenerate(
        self,
        identity: Identity,
        chat_id: ChatId,
        *,
        message_id: MessageId | None = None,
        model: str,
    ) -> BegunTurn:
        """Open a stream for another reply, beside the existing ones.

        While that stream is open, repeating the request returns the same stream.

        Args:
            identity: The user.
            chat_id: The chat.
            message_id: A reply, or the prompt to answer; None for the end of the active path.
            model: The model that will answer.

        Raises:
            ChatNotFound: No such chat for this user.
            TurnInProgress: Another answer is in progress in the chat; carries its stream.
            InvalidRequest: The chat has no such message.
            ChatTooLong, RateLimited: As for `begin_turn`.
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
        """Open a stream that continues a reply that ended too early; the reply keeps its id.

        Until that stream ends, the reply is `unfinished` and repeating the request returns the same
        stream. If there is no reply to continue, its prompt is answered anew.

        Args:
            identity: The user.
            chat_id: The chat.
            message_id: The reply; None for the end of the active path.
            model: The model that answers if there is no reply yet; otherwise its own continues.

        Raises:
            ChatNotFound: No such chat for this user.
            TurnInProgress: Another answer is in progress in the chat; carries its stream.
            InvalidRequest: No such reply, nothing to continue, or the chat has gone on since.
            ChatTooLong, RateLimited: As for `begin_turn`.
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
        """Withdraw a stream that could not be started, and its prompt if nothing else answered it.

        Afterwards the same prompt can be sent again, as if for the first time. The chat shows the
        branch it showed before, if that is known, or else the newest one beside the prompt.

        Returns:
            False, with nothing changed, if a producer has claimed it after all, its request was
            repeated, or it is closed.

        Raises:
            ChatNotFound: No such stream in this chat of this user.
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
        """The stream begun last, open or closed; None if nothing was ever asked.

        Args:
            identity: The user.
            chat_id: The chat.
            discarded: Find the chat even if it is discarded.

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
        """A page of the user's chats, latest turn first.

        Args:
            identity: The user.
            limit: How many, at least 1.
            before: The cursor from the previous page; None for the first page. A chat that gets a
                turn between two pages moves to the front; no other chat is skipped.
            pinned: True for pinned chats only, False for the others only; None for all.

        Raises:
            InvalidRequest: `before` is not such a cursor.
        """
        async with self._database.reading() as session:
            return await page_of_chats(session, identity, limit=limit, before=before, pinned=pinned)

    async def read_chat(self, identity: Identity, chat_id: ChatId) -> Chat:
        """A chat with all its messages, as of one moment."""
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
            TurnInProgress: The chat shows an answer in progress; carries its stream.
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
        """Rename a chat; its place in the list stays."""
        async with self._database.writing() as session:
            chat = await owned_chat(session, identity, chat_id, lock=True)
            chat.title, chat.searchable, chat.title_by = title, folded(title), "user"

    async def delete(self, identity: Identity, chat_id: ChatId) -> list[StreamId]:
        """Delete a chat, even a discarded one, and all it contains; its producer can write no more.

        Returns:
            Its streams; the caller has to delete their logs.

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
