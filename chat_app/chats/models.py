"""What the database returns: plain values, detached from it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, NewType

from chat_app.identity.identity import UserId
from chat_app.streams.model import OutcomeKind, StreamId

ChatId = NewType("ChatId", str)
MessageId = NewType("MessageId", str)

ID_PATTERN = "^[A-Za-z0-9_-]{1,128}$"
"""Matches the ids of chats and messages: they can stand in a URL as they are."""

Role = Literal["user", "assistant"]
MessageStatus = Literal["complete", "stopped", "failed", "interrupted", "unfinished"]


class Place(Enum):
    """A place in a chat that is not given as a message id."""

    ACTIVE = "active"
    EXISTING_CHAT = "existing chat"


ACTIVE: Final = Place.ACTIVE
"""After the newest message of the active path; in a chat that does not exist yet, its beginning."""
EXISTING_CHAT: Final = Place.EXISTING_CHAT
"""The same, but only in a chat that exists: one that was deleted must not come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a chat.

    Attributes:
        id: Chosen by the client for a prompt, by the server for a reply.
        parts: Its content, each part as on the wire: `{"type": "text", "text": …}`.
        status: How it ended; a prompt is always `complete`, a reply that is being continued is
            `unfinished`.
        meta: How it was made: the model, the usage, the time it took.
        parent_id: The message it follows; None for one that begins the chat.
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
    """What the database knows about one stream.

    Attributes:
        prompt_id: The user's message that it answers.
        reply_id: The id its reply's message has, or will have.
        claimed: Whether a producer has ever claimed it.
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
        """Whether more events may follow."""
        return self.outcome is None


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunTurn:
    """The stream that makes a reply or continues one.

    Attributes:
        created: False if an earlier request had begun the same turn.
        shown_before: The newest message of the previously active path, if the turn may have changed
            that; for `withdraw_turn`.
    """

    stream: StreamRecord
    created: bool
    shown_before: MessageId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatSummary:
    """A chat as a line of the list.

    Attributes:
        answering: Whether a stream is open in it.
        pinned: Whether its owner keeps it above all others.
        unread: Whether an answer has ended in it that its owner has not seen on a page.
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
    """A page of the list of chats.

    Attributes:
        next: The cursor for the next page; None if this is the last.
    """

    chats: tuple[ChatSummary, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChat:
    """A chat that a search has found.

    Attributes:
        excerpt: The text of one of its messages around a match, on one line; "" if only the title
            matches.
    """

    id: ChatId
    title: str
    excerpt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A chat with all its messages, which form a tree; one path of it is shown.

    Attributes:
        messages: All of them, in order of creation.
        active_message_id: The newest message of the active path while no answer is in progress;
            None in a chat without messages.
        newest_stream: The stream begun last, open or closed; None if nothing was ever asked.
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
        """The stream of the answer in progress, if there is one."""
        stream = self.newest_stream
        return stream if stream is not None and stream.open else None

    @property
    def active_path(self) -> tuple[Message, ...]:
        """The branch that is shown, from the chat's beginning.

        While a reply is being made, it ends in the prompt; while one is continued, in that reply.
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
        """The ids of the messages with the same parent, `message_id` included, oldest first.

        A reply that is still being made is among them.
        """
        parents = {message.id: message.parent_id for message in self.messages}
        if self.open_stream is not None:
            parents.setdefault(self.open_stream.reply_id, self.open_stream.prompt_id)
        parent_id = parents[message_id]
        return tuple(sibling for sibling, parent in parents.items() if parent == parent_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A producer's right to write one stream, and all it needs to do so.

    Attributes:
        fencing_token: Grows with each claim, which invalidates all older claims.
        history: The path from the chat's beginning to the prompt.
        parts: The reply as the database has it: before it was continued, or as it was saved.
        meta: How those parts were made.
        checkpoint: The text of the reply at the newest checkpoint; empty once the stream is
            closed.
        tail: The offset up to which the log was durable then, or when the reply was saved.
        outcome: Set if the stream is already closed: there is nothing left to generate.
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
        checkpointed_at: When a producer last claimed or checkpointed it, or the request for it was
            repeated before the first claim; None if none of this has happened.
    """

    user_id: UserId
    stream_id: StreamId
    created_at: datetime
    checkpointed_at: datetime | None
