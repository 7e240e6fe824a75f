"""What the database tells: plain values, detached from it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NewType

from chat_app.identity.identity import UserId
from chat_app.streams.model import OutcomeKind, StreamId

ChatId = NewType("ChatId", str)
MessageId = NewType("MessageId", str)

ID_PATTERN = "^[A-Za-z0-9_-]{1,128}$"
"""What a chat or a message can be called: it stands in an address, as it is."""

Role = Literal["user", "assistant"]
MessageStatus = Literal["complete", "stopped", "failed", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a chat.

    Attributes:
        id: Made by the client for a prompt, by the server for a reply.
        parts: Its content, each part as on the wire: `{"type": "text", "text": …}`.
        status: How it came to its end; a prompt is always `complete`.
        meta: What is known about its making: the model, the usage.
    """

    id: MessageId
    role: Role
    parts: tuple[dict[str, Any], ...]
    status: MessageStatus
    meta: dict[str, Any] = field(default_factory=dict[str, Any])
    created_at: datetime

    @property
    def text(self) -> str:
        """The text of its text parts, joined."""
        return "".join(part["text"] for part in self.parts if part.get("type") == "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRecord:
    """What the database knows of one stream.

    Attributes:
        prompt_id: The user's message that it answers.
        reply_id: The id its reply's message has, or will have.
        outcome: How it closed; None while it is open.
        error_code: Why it failed, as a stable code; only for the outcome `failed`.
    """

    id: StreamId
    chat_id: ChatId
    prompt_id: MessageId
    reply_id: MessageId
    model: str
    created_at: datetime
    outcome: OutcomeKind | None
    error_code: str | None
    closed_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether something may follow."""
        return self.outcome is None


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunTurn:
    """The stream that answers a prompt.

    Attributes:
        created: False when the prompt had been accepted before: there is nothing to start.
    """

    stream: StreamRecord
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSummary:
    """A chat as a line of a list.

    Attributes:
        answering: Whether a stream is open in it.
    """

    id: ChatId
    title: str
    created_at: datetime
    updated_at: datetime
    answering: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A chat with all its messages.

    Attributes:
        messages: Oldest first.
        newest_stream: The last one begun, open or closed; None when nothing was ever asked.
    """

    id: ChatId
    title: str
    created_at: datetime
    updated_at: datetime
    messages: tuple[Message, ...]
    newest_stream: StreamRecord | None

    @property
    def open_stream(self) -> StreamRecord | None:
        """The stream that is answering now."""
        stream = self.newest_stream
        return stream if stream is not None and stream.open else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A producer's right to write one stream, and all it needs to do so.

    Attributes:
        fencing_token: Grows with each claim; older claims are worth nothing from then on.
        history: The chat up to and including the prompt, oldest first.
        checkpoint: The reply as far as the database has it: the last checkpoint, or all of it
            once the stream is closed.
        outcome: Set when the stream is closed already: there is nothing left to generate.
    """

    stream_id: StreamId
    fencing_token: int
    chat_id: ChatId
    prompt_id: MessageId
    reply_id: MessageId
    model: str
    history: tuple[Message, ...]
    checkpoint: str
    outcome: OutcomeKind | None
    error_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStream:
    """An open stream of any user, as housekeeping sees it.

    Attributes:
        checkpointed_at: When a producer last claimed or checkpointed it; None if none ever did.
    """

    user_id: UserId
    stream_id: StreamId
    created_at: datetime
    checkpointed_at: datetime | None
    checkpoint: str
