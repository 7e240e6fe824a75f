"""A turn is a prompt and the reply to it; the page and the API both begin one here."""

from collections.abc import Sequence

from chat_app.chats.models import ACTIVE, BegunTurn, ChatId, MessageId, Place, StreamRecord
from chat_app.chats.repository import ChatRepository
from chat_app.errors import (
    InvalidOffset,
    InvalidRequest,
    LogUnavailable,
    OffsetExpired,
    PromptTooLarge,
    StreamNotFound,
)
from chat_app.generation.task import Generations
from chat_app.identity.identity import Identity
from chat_app.streams.log import StreamLog
from chat_app.streams.model import StreamId
from chat_app.turn import Resumed, StopRequested, Turn


class Turns:
    """Begins, resumes and stops turns, for the owner of the chat alone.

    Guarantees:
      Once       a prompt sent again with the same message id is the same turn.
      Whole      a turn begins with its stream and its generation, or not at all.
      Lasting    a turn depends on no connection: it ends by itself or by a stop.

    Methods that begin a turn raise:
        InvalidRequest: The text is empty, an id is invalid, or the model is not offered.
        ChatNotFound: The user has no such chat; but a new prompt to an unknown chat creates it.
        ChatTooLong, RateLimited: The chat has too many messages, the user too many open streams.
        TurnInProgress: Something else in the chat is being answered; carries the open stream.
        LogUnavailable: The store does not answer, or this server shuts down; nothing was added.

    Attributes:
        models: The models that can be chosen; the first is the default.
    """

    def __init__(
        self,
        *,
        chats: ChatRepository,
        log: StreamLog,
        generations: Generations,
        models: Sequence[str],
        max_prompt_chars: int,
    ) -> None:
        self._chats = chats
        self._log = log
        self._generations = generations
        self.models = tuple(models)
        self._max_prompt_chars = max_prompt_chars

    async def ready(self) -> None:
        """Return if a prompt would be accepted now.

        Raises:
            LogUnavailable: The store does not answer, or this server is shutting down.
        """
        self._generations.check_accepting()
        await self._log.ping()

    async def send(
        self,
        identity: Identity,
        *,
        chat_id: str,
        message_id: str,
        text: str,
        parent_id: str | Place | None = ACTIVE,
        edited_id: str | None = None,
        model: str | None = None,
    ) -> Turn:
        """Accept a prompt and have it answered.

        Args:
            identity: Who asks.
            chat_id: The chat; it is created if it does not exist.
            message_id: Chosen by the client; the same id again is the same turn.
            text: The prompt.
            parent_id: The message it follows; None to begin the chat anew.
            edited_id: Instead of a parent, the prompt that it edits; the old one stays beside it.
            model: The model that answers, if not the default.

        Raises:
            PromptTooLarge: The text is longer than the server accepts.
        """
        text, model = self._prompt(text), self._chosen(model)
        await self._log.ping()
        begun = await self._chats.begin_turn(
            identity,
            chat_id=ChatId(chat_id),
            message_id=MessageId(message_id),
            text=text,
            model=model,
            parent_id=MessageId(parent_id) if isinstance(parent_id, str) else parent_id,
            edited_id=_id(edited_id),
        )
        return await self._turn(identity, begun)

    async def regenerate(
        self,
        identity: Identity,
        *,
        chat_id: str,
        message_id: str | None = None,
        model: str | None = None,
    ) -> Turn:
        """Generate another reply beside an existing one, which stays.

        While it is being generated, the same request is the same turn.

        Args:
            identity: Who asks.
            chat_id: The chat.
            message_id: The reply, or its prompt; None for the end of the active path.
            model: The model that answers, if not the default.
        """
        model = self._chosen(model)
        await self._log.ping()
        begun = await self._chats.regenerate(
            identity, ChatId(chat_id), message_id=_id(message_id), model=model
        )
        return await self._turn(identity, begun)

    async def continue_(
        self,
        identity: Identity,
        *,
        chat_id: str,
        message_id: str | None = None,
        model: str | None = None,
    ) -> Turn:
        """Continue a reply that ended too early: the same message, in a new stream.

        The stream holds the whole message from its beginning. While it is open, the same request
        is the same turn. A reply that failed without a word is generated anew.

        Args:
            identity: Who asks.
            chat_id: The chat.
            message_id: The reply; None for the end of the active path.
            model: As in `regenerate` if the reply is generated anew; else it keeps its model.
        """
        model = self._chosen(model)
        await self._log.ping()
        begun = await self._chats.continue_reply(
            identity, ChatId(chat_id), message_id=_id(message_id), model=model
        )
        return await self._turn(identity, begun)

    def _chosen(self, model: str | None) -> str:
        if model is not None and model not in self.models:
            raise InvalidRequest(f"the model must be one of {', '.join(self.models)}")
        return model or self.models[0]

    def _prompt(self, text: str) -> str:
        text = text.replace("\0", "").encode(errors="replace").decode()
        if not text.strip():
            raise InvalidRequest("the prompt is empty")
        if len(text) > self._max_prompt_chars:
            raise PromptTooLarge(f"a prompt may have at most {self._max_prompt_chars} characters")
        return text

    async def _turn(self, identity: Identity, begun: BegunTurn) -> Turn:
        stream = begun.stream
        if begun.created:
            await self._start(identity, begun)
        elif stream.open and not stream.claimed:
            # The process that accepted it may have died before this, or not know that it was saved.
            await self._schedule(identity, stream.id)
        return Turn(
            chat_id=stream.chat_id,
            stream_id=stream.id,
            reply_id=stream.reply_id,
            created=begun.created,
        )

    async def _start(self, identity: Identity, begun: BegunTurn) -> None:
        stream = begun.stream
        try:
            await self._schedule(identity, stream.id)
        except LogUnavailable:
            # The store has failed since the ping. The caller will ask again.
            await self._chats.withdraw_turn(
                identity, stream.chat_id, stream.id, shown_before=begun.shown_before
            )
            raise

    async def _schedule(self, identity: Identity, stream_id: StreamId) -> None:
        """Have a stream produced; idempotent."""
        await self._log.create(stream_id)
        await self._generations.schedule(identity, stream_id)

    async def resume(
        self,
        identity: Identity,
        chat_id: str,
        *,
        after: int | None = None,
        stream_id: StreamId | None = None,
    ) -> Resumed | None:
        """Return the chat's newest stream from a cursor on, or the message it ended in.

        Args:
            identity: Who asks.
            chat_id: The chat.
            after: The offset of the last event the caller has. None asks for the message rather
                than the events: an open stream compacted, a closed one as its message.
            stream_id: The stream of that event, if the caller knows it; if another stream is the
                newest, `after` is ignored.

        Returns:
            None when nothing was ever asked in this chat.

        Raises:
            ChatNotFound: The user has no such chat.
            InvalidOffset: The stream has not reached `after`.
            LogUnavailable: The store does not answer; try again later.
        """
        stream = await self._chats.newest_stream(identity, ChatId(chat_id))
        if stream is None:
            return None
        if stream_id not in {None, stream.id}:
            after = None
        if stream.open:
            whole = after is None
            try:
                follower = await self._log.follow(stream.id, after=after or 0, compact=whole)
            except StreamNotFound as error:
                # Accepted a moment ago, or lost by the store until its producer writes it again.
                raise LogUnavailable("the stream is temporarily unavailable") from error
            return Resumed(stream_id=stream.id, follower=follower)
        return await self._resume_closed(identity, stream, after=after)

    async def _resume_closed(
        self, identity: Identity, stream: StreamRecord, *, after: int | None
    ) -> Resumed:
        if after is not None:
            try:
                follower = await self._log.follow(stream.id, after=after)
            except (StreamNotFound, OffsetExpired):
                pass  # its log has expired; the message has not
            except InvalidOffset:
                # If the log is open, the store came back with a copy from before its end.
                if (await self._log.state(stream.id)).outcome is not None:
                    raise
            else:
                if not follower.closed:  # its producer may have died before closing it
                    await self._generations.schedule(identity, stream.id, closed=True)
                return Resumed(stream_id=stream.id, follower=follower)
        return await self._ended(identity, stream.chat_id, stream.id, stream.reply_id)

    async def follow(self, identity: Identity, turn: Turn) -> Resumed:
        """Return all events of an accepted turn, byte for byte; its message if the log is gone.

        Raises:
            LogUnavailable: The store does not answer or has just lost the stream; try again later.
        """
        try:
            follower = await self._log.follow(turn.stream_id)
            return Resumed(stream_id=turn.stream_id, follower=follower)
        except StreamNotFound as error:
            newest = await self._chats.newest_stream(identity, turn.chat_id)
            if newest is not None and newest.open and newest.id == turn.stream_id:
                raise LogUnavailable("the stream is temporarily unavailable") from error
            return await self._ended(identity, turn.chat_id, turn.stream_id, turn.reply_id)

    async def _ended(
        self, identity: Identity, chat_id: ChatId, stream_id: StreamId, reply_id: MessageId
    ) -> Resumed:
        # Read after the stream was found closed: its reply was saved with that, in one step.
        message = await self._chats.read_message(identity, chat_id, reply_id)
        return Resumed(stream_id=stream_id, follower=None, reply=message)

    async def stop(self, identity: Identity, chat_id: str) -> StopRequested | None:
        """Stop the chat's open stream from any process, keeping what was generated; idempotent.

        Returns:
            None when nothing is being answered.

        Raises:
            ChatNotFound: The user has no such chat.
            LogUnavailable: The store does not answer; the reply is not stopped.
        """
        stream = await self._chats.newest_stream(identity, ChatId(chat_id))
        if stream is None or not stream.open:
            return None
        try:
            state = await self._log.request_stop(stream.id)
        except StreamNotFound as error:
            raise LogUnavailable("the stream is temporarily unavailable") from error
        return StopRequested(stream_id=stream.id, cursor=state.tail)


def _id(message_id: str | None) -> MessageId | None:
    return None if message_id is None else MessageId(message_id)
