"""What is told of a turn: that it was accepted, what there is of it, that it will stop."""

from dataclasses import dataclass

from chat_app.chats.models import ChatId, Message, MessageId
from chat_app.streams.follower import Follower
from chat_app.streams.model import StreamId


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A prompt that was accepted, or a reply that is made anew or continued.

    Attributes:
        reply_id: The id the reply's message has, or will have.
        created: False when the same had been accepted before: it is still one turn.
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
