"""Chats as their owner sees them: the side of the page and the API."""

from functools import partial

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from chat_app.chats.database import Database
from chat_app.chats.models import (
    BegunTurn,
    Chat,
    ChatId,
    ChatSummary,
    MessageId,
    StreamRecord,
)
from chat_app.chats.opening import add_chat, open_stream, title_of, withdraw
from chat_app.chats.queries import (
    find_chat,
    is_possible_id,
    lock_stream,
    message_of,
    newest_stream,
    next_message_position,
    not_found,
    owned_chat,
    stream_of,
    text_parts,
)
from chat_app.chats.tables import ChatRow, MessageRow, StreamRow
from chat_app.errors import InvalidRequest
from chat_app.identity.identity import Identity
from chat_app.streams.model import StreamId


class ChatRepository:
    """The chats of one user at a time: whoever asks sees only their own.

    Guarantees (tests/integration/test_chats*.py):
      Ownership   a chat of somebody else is `ChatNotFound`, exactly like one that does not exist.
      One turn    a prompt sent again, at the same moment too, is one message and one stream.
      One stream  at most one is open in a chat, whoever races whom.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin_turn(
        self, identity: Identity, *, chat_id: ChatId, message_id: MessageId, text: str, model: str
    ) -> BegunTurn:
        """Accept a prompt: its message and the open stream that will answer it, or neither.

        An unknown `chat_id` is a new chat. A `message_id` accepted before is not accepted again:
        the answer is the newest stream for it, and nothing is written.

        Args:
            identity: Who asks.
            chat_id: Public id of the chat, made by the client.
            message_id: Id of the prompt's message, made by the client.
            text: The prompt; without NUL, which PostgreSQL cannot store.
            model: What will answer.

        Raises:
            TurnInProgress: The chat is being answered already; carries that stream.
            InvalidRequest: An id is impossible (see `ID_PATTERN`), or names a reply.
        """
        if not (is_possible_id(chat_id) and is_possible_id(message_id)):
            msg = "an id is 1 to 128 letters, digits, - and _"
            raise InvalidRequest(msg)
        begin = partial(
            self._begin, identity, chat_id=chat_id, message_id=message_id, text=text, model=model
        )
        try:
            return await begin()
        except IntegrityError:
            # The chat's first two prompts came at once, when there was no row to lock. Now there is.
            return await begin()

    async def _begin(
        self, identity: Identity, *, chat_id: ChatId, message_id: MessageId, text: str, model: str
    ) -> BegunTurn:
        async with self._database.writing() as session:
            chat = await find_chat(session, identity, chat_id, lock=True)
            if chat is None:
                chat = await add_chat(session, identity, chat_id, title=title_of(text))
            elif await session.get(MessageRow, (chat.key, message_id)) is not None:
                stream = await newest_stream(session, chat, prompt_id=message_id)
                if stream is None:
                    msg = "this message is not a prompt"
                    raise InvalidRequest(msg)
                return BegunTurn(stream=stream_of(stream, chat=chat), created=False)
            stream = await open_stream(session, chat, prompt_id=message_id, model=model)
            session.add(
                MessageRow(
                    chat_key=chat.key,
                    id=message_id,
                    role="user",
                    parts=text_parts(text),
                    status="complete",
                    meta={},
                    position=await next_message_position(session, chat),
                    created_at=stream.created_at,
                )
            )
            return BegunTurn(stream=stream_of(stream, chat=chat), created=True)

    async def create_stream(
        self,
        identity: Identity,
        chat_id: ChatId,
        *,
        prompt_id: MessageId | None = None,
        model: str = "demo",
    ) -> StreamId:
        """Open another stream for a prompt that is there already, by default the last one.

        Raises:
            ChatNotFound: No such chat for this user.
            TurnInProgress: The chat is being answered already; carries that stream.
            InvalidRequest: The chat has no such prompt.
        """
        async with self._database.writing() as session:
            chat = await owned_chat(session, identity, chat_id, lock=True)
            prompts = select(MessageRow.id).where(
                MessageRow.chat_key == chat.key, MessageRow.role == "user"
            )
            if prompt_id is not None:
                prompts = prompts.where(MessageRow.id == prompt_id)
            prompt = await session.scalar(
                prompts.order_by(col(MessageRow.position).desc()).limit(1)
            )
            if prompt is None:
                msg = "there is no such prompt to answer"
                raise InvalidRequest(msg)
            stream = await open_stream(session, chat, prompt_id=MessageId(prompt), model=model)
            return StreamId(stream.id)

    async def withdraw_turn(self, identity: Identity, chat_id: ChatId, stream_id: StreamId) -> bool:
        """Take back a stream that could not be started, with the prompt that it was to answer.

        Afterwards the same prompt can be sent again, as if for the first time.

        Returns:
            False, with nothing changed, when a producer has claimed it after all or it is closed.

        Raises:
            ChatNotFound: No such stream in a chat of this user.
        """
        async with self._database.writing() as session:
            found = await lock_stream(session, identity, stream_id)
            if found is None or found[0].id != chat_id:
                raise not_found()
            chat, stream = found
            if stream.fencing_token > 0 or stream.outcome is not None:
                return False
            await withdraw(session, chat, stream)
            return True

    async def streams_by_chat_id(self, identity: Identity, chat_id: ChatId) -> list[StreamRecord]:
        """All streams ever begun in a chat, oldest first.

        Raises:
            ChatNotFound: No such chat for this user.
        """
        async with self._database.reading() as session:
            chat = await owned_chat(session, identity, chat_id)
            query = select(StreamRow).where(StreamRow.chat_key == chat.key)
            rows = await session.scalars(query.order_by(col(StreamRow.position)))
            return [stream_of(row, chat=chat) for row in rows]

    async def newest_stream(self, identity: Identity, chat_id: ChatId) -> StreamRecord | None:
        """The stream begun last, open or closed; None when nothing was ever asked.

        Raises:
            ChatNotFound: No such chat for this user.
        """
        async with self._database.reading() as session:
            chat = await owned_chat(session, identity, chat_id)
            row = await newest_stream(session, chat)
            return None if row is None else stream_of(row, chat=chat)

    async def list_chats(self, identity: Identity, *, limit: int = 100) -> list[ChatSummary]:
        """The chats of a user, the one with the latest turn first."""
        answering = (
            select(StreamRow.id)
            .where(StreamRow.chat_key == ChatRow.key, col(StreamRow.outcome).is_(None))
            .exists()
        )
        query = (
            select(ChatRow, answering)
            .where(ChatRow.user_id == identity.user_id)
            .order_by(col(ChatRow.updated_at).desc(), col(ChatRow.key))
            .limit(limit)
        )
        async with self._database.reading() as session:
            rows = (await session.execute(query)).all()
        return [
            ChatSummary(
                id=ChatId(chat.id),
                title=chat.title,
                created_at=chat.created_at,
                updated_at=chat.updated_at,
                answering=is_answering,
            )
            for chat, is_answering in rows
        ]

    async def read_chat(self, identity: Identity, chat_id: ChatId) -> Chat:
        """A chat with all its messages, as it was at one moment.

        Raises:
            ChatNotFound: No such chat for this user.
        """
        async with self._database.reading() as session:
            chat = await owned_chat(session, identity, chat_id)
            stream = await newest_stream(session, chat)
            query = select(MessageRow).where(MessageRow.chat_key == chat.key)
            messages = await session.scalars(query.order_by(col(MessageRow.position)))
            return Chat(
                id=ChatId(chat.id),
                title=chat.title,
                created_at=chat.created_at,
                updated_at=chat.updated_at,
                messages=tuple(message_of(row) for row in messages),
                newest_stream=None if stream is None else stream_of(stream, chat=chat),
            )
