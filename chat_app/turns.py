"""One turn: a prompt and the reply to it. The page and the API both come through here."""

from dataclasses import dataclass

from chat_app.chats.models import ChatId, Message, MessageId, StreamRecord
from chat_app.chats.repository import ChatRepository
from chat_app.errors import (
    InvalidRequest,
    LogUnavailable,
    OffsetExpired,
    PromptTooLarge,
    StreamNotFound,
)
from chat_app.generation.task import Generations
from chat_app.identity.identity import Identity
from chat_app.streams.follower import Follower
from chat_app.streams.log import StreamLog
from chat_app.streams.model import StreamId


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A prompt that was accepted.

    Attributes:
        reply_id: The id its reply's message will have.
        created: False when the same prompt had been accepted before: it is still one turn.
    """

    chat_id: ChatId
    stream_id: StreamId
    reply_id: MessageId
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What there is to resume in a chat.

    Attributes:
        stream_id: The chat's newest stream.
        follower: Its events from the cursor on; None when the log has no more to say.
        reply: For a closed stream: the message it ended in, if it ended in one.
    """

    stream_id: StreamId
    follower: Follower | None
    reply: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """A stop on its way to the producer.

    Attributes:
        cursor: The newest offset when it was asked for; the end follows soon after.
    """

    stream_id: StreamId
    cursor: int


class Turns:
    """Sends, resumes and stops, each for the owner of the chat alone.

    Guarantees:
      Once       a prompt sent again with the same message id is one turn.
      Whole      a prompt is accepted with its stream and its generation, or not at all.
      Lasting    a turn depends on no connection: only its end, or a stop, ends it.
    """

    def __init__(
        self,
        *,
        chats: ChatRepository,
        log: StreamLog,
        generations: Generations,
        model: str,
        max_prompt_chars: int,
    ) -> None:
        self._chats = chats
        self._log = log
        self._generations = generations
        self._model = model
        self._max_prompt_chars = max_prompt_chars

    async def send(self, identity: Identity, *, chat_id: str, message_id: str, text: str) -> Turn:
        """Accept a prompt and have it answered.

        Args:
            identity: Who asks.
            chat_id: The chat; an unknown one is a new chat.
            message_id: Made by the client: the same one again is the same turn.
            text: The prompt.

        Raises:
            InvalidRequest: There is no text, or an id is not usable.
            PromptTooLarge: The text is longer than the server accepts.
            TurnInProgress: The chat is being answered; carries the open stream.
            LogUnavailable: The store does not answer; nothing was written.
        """
        text = text.replace("\0", "").encode(errors="replace").decode()
        if not text.strip():
            raise InvalidRequest("the prompt is empty")
        if len(text) > self._max_prompt_chars:
            raise PromptTooLarge(f"a prompt has at most {self._max_prompt_chars} characters")
        await self._log.ping()
        begun = await self._chats.begin_turn(
            identity,
            chat_id=ChatId(chat_id),
            message_id=MessageId(message_id),
            text=text,
            model=self._model,
        )
        if begun.created:
            await self._start(identity, begun.stream)
        return Turn(
            chat_id=begun.stream.chat_id,
            stream_id=begun.stream.id,
            reply_id=begun.stream.reply_id,
            created=begun.created,
        )

    async def _start(self, identity: Identity, stream: StreamRecord) -> None:
        try:
            await self._log.create(stream.id)
            await self._generations.schedule(identity, stream.id)
        except LogUnavailable:
            # The store went away since the ping. The caller will send the prompt again.
            await self._chats.withdraw_turn(identity, stream.chat_id, stream.id)
            raise

    async def resume(
        self, identity: Identity, chat_id: str, *, after: int | None = None
    ) -> Resumed | None:
        """The chat's newest stream from a cursor on, or what it ended in.

        Args:
            identity: Who asks.
            chat_id: The chat.
            after: The offset of the last event the caller has. None asks for the message rather
                than the events: a replay may be compacted then, and a finished reply is given
                as the message it is.

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
        stream_id = stream.id
        if stream.open:
            try:
                follower = await self._log.follow(
                    stream_id, after=after or 0, compact=after is None
                )
            except StreamNotFound as error:
                # Accepted a moment ago, or the store restarted empty: its producer knows it.
                raise LogUnavailable("the stream is not there yet") from error
            return Resumed(stream_id=stream_id, follower=follower)
        return await self._resume_closed(identity, stream, after=after)

    async def _resume_closed(
        self, identity: Identity, stream: StreamRecord, *, after: int | None
    ) -> Resumed:
        stream_id = stream.id
        if after is not None:
            try:
                follower = await self._log.follow(stream_id, after=after)
                return Resumed(stream_id=stream_id, follower=follower)
            except (StreamNotFound, OffsetExpired):
                pass  # its log has expired; the message has not
        return await self._ended(identity, stream.chat_id, stream_id, stream.reply_id)

    async def follow(self, identity: Identity, turn: Turn) -> Resumed:
        """All events of a turn that `send` has accepted, byte for byte, from the first.

        Raises:
            LogUnavailable: The store has just lost the stream; come back.
        """
        try:
            follower = await self._log.follow(turn.stream_id)
            return Resumed(stream_id=turn.stream_id, follower=follower)
        except StreamNotFound:
            return await self._ended(identity, turn.chat_id, turn.stream_id, turn.reply_id)

    async def _ended(
        self, identity: Identity, chat_id: ChatId, stream_id: StreamId, reply_id: MessageId
    ) -> Resumed:
        chat = await self._chats.read_chat(identity, chat_id)
        if chat.open_stream is not None and chat.open_stream.id == stream_id:
            raise LogUnavailable("the stream is not there yet")
        reply = next((message for message in chat.messages if message.id == reply_id), None)
        return Resumed(stream_id=stream_id, follower=None, reply=reply)

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
        stream_id = stream.id
        try:
            state = await self._log.request_stop(stream_id)
        except StreamNotFound as error:
            raise LogUnavailable("the stream is not there yet") from error
        return StopRequested(stream_id=stream_id, cursor=state.tail)
