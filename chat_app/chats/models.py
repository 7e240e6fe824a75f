"""What the database tells: plain values, detached from it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, NewType

from chat_app.identity.identity import UserId
from chat_app.streams.model import OutcomeKind, StreamId

ChatId = NewType("ChatId", str)
MessageId = NewType("MessageId", str)

ID_PATTERN = "^[A-Za-z0-9_-]{1,128}$"
"""What a chat or a message can be called: it stands in an address, as it is."""

Role = Literal["user", "assistant"]
MessageStatus = Literal["complete", "stopped", "failed", "interrupted", "unfinished"]


class Place(Enum):
    """Where in a chat, when not at a message that is named."""

    ACTIVE = "active"
    GOING_ON = "going on"


ACTIVE: Final = Place.ACTIVE
"""Behind the newest message of the active path; in a chat that does not exist yet, its beginning."""
GOING_ON: Final = Place.GOING_ON
"""The same, but only in a chat that exists: it may have been deleted, and must not come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a chat.

    Attributes:
        id: Made by the client for a prompt, by the server for a reply.
        parts: Its content, each part as on the wire: `{"type": "text", "text": …}`.
        status: How it came to its end; a prompt is always `complete`, a reply that is being
            continued `unfinished`.
        meta: What is known about its making: the model, the usage, the time it took.
        parent_id: What it follows upon; None for a message that begins the chat.
    """

    id: MessageId
    role: Role
    parts: tuple[dict[str, Any], ...]
    status: MessageStatus
    meta: dict[str, Any] = field(default_factory=dict[str, Any])
    created_at: datetime
    parent_id: MessageId | None = None

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
        claimed: Whether a producer has ever taken it.
        outcome: How it closed; None while it is open.
        error_code: Why it failed, as a stable code; only for the outcome `failed`.
    """

    id: StreamId
    chat_id: ChatId
    prompt_id: MessageId
    reply_id: MessageId
    model: str
    created_at: datetime
    claimed: bool
    outcome: OutcomeKind | None
    error_code: str | None
    closed_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether something may follow."""
        return self.outcome is None


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunTurn:
    """The stream that makes a reply, or goes on with one.

    Attributes:
        created: False when the same had been asked before.
        shown_before: The newest message of the path that was active before, where that may have
            changed; for `withdraw_turn`.
    """

    stream: StreamRecord
    created: bool
    shown_before: MessageId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSummary:
    """A chat as a line of a list.

    Attributes:
        answering: Whether a stream is open in it.
        pinned: Whether its owner wants it before all others.
        unread: Whether something ended in it that its owner has not seen on a page.
    """

    id: ChatId
    title: str
    created_at: datetime
    updated_at: datetime
    answering: bool
    pinned: bool
    unread: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPage:
    """A part of the list of chats.

    Attributes:
        next: The cursor of the page after this one; None when this is the last.
    """

    chats: tuple[ChatSummary, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChat:
    """A chat that a search has found.

    Attributes:
        excerpt: What a message of it says around a word that was looked for, on one line; "" when
            only the title has it.
    """

    id: ChatId
    title: str
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A chat with all its messages: a tree, of which one path is shown.

    Attributes:
        messages: All of them, in the order of making.
        active_message_id: The newest message of the active path when nothing is being answered;
            None in a chat without messages.
        newest_stream: The last one begun, open or closed; None when nothing was ever asked.
    """

    id: ChatId
    title: str
    created_at: datetime
    updated_at: datetime
    messages: tuple[Message, ...]
    newest_stream: StreamRecord | None
    active_message_id: MessageId | None = None

    @property
    def open_stream(self) -> StreamRecord | None:
        """The stream that is answering now."""
        stream = self.newest_stream
        return stream if stream is not None and stream.open else None

    @property
    def active_path(self) -> tuple[Message, ...]:
        """The branch that is shown, from the chat's beginning.

        While a reply is made it ends in the prompt; while one is continued, in that reply.
        """
        known = {message.id: message for message in self.messages}
        leaf, stream = self.active_message_id, self.open_stream
        if stream is not None:
            leaf = stream.reply_id if stream.reply_id in known else stream.prompt_id
        path: list[Message] = []
        while leaf is not None:
            path.append(known[leaf])
            leaf = known[leaf].parent_id
        return tuple(reversed(path))

    def siblings(self, message_id: MessageId) -> tuple[MessageId, ...]:
        """What there is at a message's place in the tree, itself among it, in order of making.

        The reply that is being made has its place too.
        """
        parents = {message.id: message.parent_id for message in self.messages}
        if self.open_stream is not None:
            parents.setdefault(self.open_stream.reply_id, self.open_stream.prompt_id)
        place = parents[message_id]
        return tuple(sibling for sibling, parent in parents.items() if parent == place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A producer's right to write one stream, and all it needs to do so.

    Attributes:
        fencing_token: Grows with each claim; older claims are worth nothing from then on.
        history: The path from the chat's beginning to the prompt.
        parts: What the reply held before, when it is being continued.
        meta: What was known then of its making.
        checkpoint: The text of the reply at the newest checkpoint; empty once the stream is
            closed.
        tail: How far the log was durable then.
        outcome: Set when the stream is closed already: there is nothing left to generate.
    """

    stream_id: StreamId
    fencing_token: int
    reply_id: MessageId
    model: str
    history: tuple[Message, ...]
    parts: tuple[dict[str, Any], ...]
    meta: dict[str, Any]
    checkpoint: str
    tail: int
    outcome: OutcomeKind | None
    error_code: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStream:
    """An open stream of any user, as housekeeping sees it.

    Attributes:
        checkpointed_at: When a producer last claimed or checkpointed it, or the same was asked again
            before the first claim; None if nobody ever did.
    """

    user_id: UserId
    stream_id: StreamId
    created_at: datetime
    checkpointed_at: datetime | None
