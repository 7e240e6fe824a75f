"""What callers learn about a turn: that it was accepted, how to resume it, that it will stop."""

from dataclasses import dataclass

from chat_app.chats.models import ChatId, Message, MessageId
from chat_app.streams.follower import Follower
from chat_app.streams.model import StreamId


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An accepted prompt, or a reply that is being regenerated or continued.

    Attributes:
        reply_id: The id the reply's message has, or will have.
        created: False if the same request was accepted before: it is still one turn.
    """

    chat_id: ChatId
    stream_id: StreamId
    reply_id: MessageId
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What there is to resume in a chat.

    Attributes:
        stream_id: The stream: the chat's newest, or that of the turn that is followed.
        follower: Its events after the cursor; None when the log has nothing to add.
        reply: If there is no follower, the message that the stream ended in, if any.
    """

    stream_id: StreamId
    follower: Follower | None
    reply: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRequested:
    """A stop on its way to the producer.

    Attributes:
        cursor: The newest offset when the stop was requested; the end follows soon after.
    """

    stream_id: StreamId
    cursor: int
