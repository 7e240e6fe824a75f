"""One turn: a prompt and the reply to it. The page and the API both come through here."""

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
    """Begins, resumes and stops turns, each for the owner of the chat alone.

    Guarantees:
      Once       a prompt sent again with the same message id is one turn.
      Whole      a turn begins with its stream and its generation, or not at all.
      Lasting    a turn depends on no connection: only its end, or a stop, ends it.

    Whatever begins one raises:
        InvalidRequest: There is no text, or an id is not usable, or the model is not offered.
        ChatNotFound: No such chat for this user; but an unknown one is a new chat to a new prompt.
        TurnInProgress: The chat is being answered, and not this; carries the open stream.
        LogUnavailable: The store does not answer; nothing was written, unless it was before.

    Attributes:
        models: Those that may be asked; the first answers by default.
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
        """Return if a prompt would be taken now.

        Raises:
            LogUnavailable: The store does not answer, or this server goes away.
        """
        self._generations.stays()
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
            chat_id: The chat; an unknown one is a new chat.
            message_id: Made by the client: the same one again is the same turn.
            text: The prompt.
            parent_id: The message it follows upon; None for one that begins the chat anew.
            edited_id: The prompt beside which it goes, instead of a parent; that one stays.
            model: What is to answer, if not what answers by default.

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
        """Have another reply made beside one that is there, which stays.

        While it is being made, the same again is the same turn.

        Args:
            identity: Who asks.
            chat_id: The chat.
            message_id: The reply, or its prompt; None for the end of the active path.
            model: What is to answer, if not what answers by default.
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
        """Go on with a reply that ended too early: the same message, in a new stream.

        The stream holds the whole message, from its first event. While it is open, the same again
        is the same turn. A reply that failed without a word is made anew.

        Args:
            identity: Who asks.
            chat_id: The chat.
            message_id: The reply; None for the end of the active path.
            model: What is to answer where there is no word of it yet, if not what answers by
                default; else the model stays.
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
            raise PromptTooLarge(f"a prompt has at most {self._max_prompt_chars} characters")
        return text

    async def _turn(self, identity: Identity, begun: BegunTurn) -> Turn:
        stream = begun.stream
        if begun.created:
            await self._start(identity, begun)
        elif stream.open and not stream.claimed:
            # Whoever accepted it may have died before this, or not have learnt that it was saved.
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
            # The store went away since the ping. The caller will ask again.
            await self._chats.withdraw_turn(
                identity, stream.chat_id, stream.id, shown_before=begun.shown_before
            )
            raise

    async def _schedule(self, identity: Identity, stream_id: StreamId) -> None:
        """Have a stream produced; again, it changes nothing."""
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
        """The chat's newest stream from a cursor on, or what it ended in.

        Args:
            identity: Who asks.
            chat_id: The chat.
            after: The offset of the last event the caller has. None asks for the message rather
                than the events: compacted, and a finished reply as the message it is.
            stream_id: The stream of that event, if the caller knows it: of another one they have
                nothing, so `after` does not count.

        Returns:
            None when nothing was ever asked in this chat.

        Raises:
            ChatNotFound: No such chat for this user.
            InvalidOffset: The stream has not got to `after`.
            LogUnavailable: The store does not answer; come back.
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
                # Accepted a moment ago, or the store restarted empty: its producer knows it.
                raise LogUnavailable("the stream is not there yet") from error
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
                # Or the store came back with a copy from before its end.
                if (await self._log.state(stream.id)).outcome is not None:
                    raise
            else:
                if not follower.closed:  # and whoever was to close it may be gone
                    await self._generations.schedule(identity, stream.id, closed=True)
                return Resumed(stream_id=stream.id, follower=follower)
        return await self._ended(identity, stream.chat_id, stream.id, stream.reply_id)

    async def follow(self, identity: Identity, turn: Turn) -> Resumed:
        """All events of a turn that was accepted, byte for byte, from the first.

        Raises:
            LogUnavailable: The store has just lost the stream; come back.
        """
        try:
            follower = await self._log.follow(turn.stream_id)
            return Resumed(stream_id=turn.stream_id, follower=follower)
        except StreamNotFound as error:
            newest = await self._chats.newest_stream(identity, turn.chat_id)
            if newest is not None and newest.open and newest.id == turn.stream_id:
                raise LogUnavailable("the stream is not there yet") from error
            return await self._ended(identity, turn.chat_id, turn.stream_id, turn.reply_id)

    async def _ended(
        self, identity: Identity, chat_id: ChatId, stream_id: StreamId, reply_id: MessageId
    ) -> Resumed:
        # Read after the stream was found to be closed: with the row its reply was saved.
        message = await self._chats.read_message(identity, chat_id, reply_id)
        return Resumed(stream_id=stream_id, follower=None, reply=message)

    async def stop(self, identity: Identity, chat_id: str) -> StopRequested | None:
        """End the chat's open stream, keeping what there is; from any process; idempotent.

        Returns:
            None when nothing is being answered.

        Raises:
            ChatNotFound: No such chat for this user.
            LogUnavailable: The store does not answer; the answer goes on.
        """
        stream = await self._chats.newest_stream(identity, ChatId(chat_id))
        if stream is None or not stream.open:
            return None
        try:
            state = await self._log.request_stop(stream.id)
        except StreamNotFound as error:
            raise LogUnavailable("the stream is not there yet") from error
        return StopRequested(stream_id=stream.id, cursor=state.tail)


def _id(message_id: str | None) -> MessageId | None:
    return None if message_id is None else MessageId(message_id)
