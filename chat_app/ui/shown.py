"""A chat as the page shows it, derived from what the database has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chat_app.chats.models import Chat, Message, MessageId, StreamRecord
from chat_app.ui.trouble import NO_TROUBLE, Trouble, explain

CUT_SHORT = ("stopped", "failed", "interrupted")
_SECOND = 1000  # ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMessage:
    """A message as the page shows it.

    Attributes:
        reasoning: What the model thought before it answered.
        thought_ms: How long that took; 0 if unknown.
        status: How it ended; "" while it is being written.
        live: Whether the browser has to follow `stream_id` to see it.
        details: The model, the time it took, and the length.
        continuable: Whether it ended too early and is still the last message.
        version: Which of its `version_count` versions it is, from 1.
        previous_id: Id of the version made before it; "" for the first.
        next_id: Id of the version made after it; "" for the last.
    """

    id: str
    role: str
    text: str
    reasoning: str = ""
    thought_ms: int = 0
    status: str = ""
    live: bool = False
    stream_id: str = ""
    details: str = ""
    continuable: bool = False
    version: int = 1
    version_count: int = 1
    previous_id: str = ""
    next_id: str = ""


def unanswered_stream(chat: Chat) -> StreamRecord | None:
    """The stream that owes the chat an answer, open or closed; None if nothing is owed.

    The rule for resuming: an answer is owed if the last message is the user's, or unfinished. A
    regeneration that failed without a word is owed beside the existing reply.
    """
    stream = chat.newest_stream
    path = chat.active_path
    if stream is None or not path:
        return None
    last = path[-1]
    if stream.outcome is None:
        return stream
    if last.id == stream.reply_id:
        owed = last.status != "complete"
    else:
        came_to_nothing = all(message.id != stream.reply_id for message in chat.messages)
        beside = stream.outcome == "failed" and stream.prompt_id == last.parent_id
        owed = last.role == "user" or (beside and came_to_nothing)
    return stream if owed else None


def shown_messages(chat: Chat, stream: StreamRecord | None) -> list[ShownMessage]:
    """The messages on the chat's active path, ending with the answer that is being written."""
    live_id = stream.reply_id if stream is not None and stream.outcome is None else None
    path = chat.active_path
    siblings = _siblings(chat)
    shown = [
        _shown(message, siblings[message.parent_id], is_last=message is path[-1])
        for message in path
        if message.id != live_id
    ]
    if stream is not None and live_id is not None:
        partial = next((message for message in path if message.id == live_id), None)
        parent_id = stream.prompt_id if partial is None else partial.parent_id
        shown.append(
            ShownMessage(
                id=live_id,
                role="assistant",
                text="" if partial is None else partial.text,
                reasoning="" if partial is None else reasoning_of(partial),
                thought_ms=0 if partial is None else partial.meta.get("reasoning_ms", 0),
                live=True,
                stream_id=stream.id,
                **_version(live_id, siblings[parent_id]),
            )
        )
    return shown


def end_of(messages: list[ShownMessage], stream: StreamRecord | None) -> str:
    """How the newest answer ended: how the stream that owes one did, or else the last message."""
    if stream is not None and stream.outcome is not None:
        return stream.outcome
    return messages[-1].status if messages else ""


def trouble_of(stream: StreamRecord | None, messages: list[ShownMessage]) -> Trouble:
    """Why the answer is missing or incomplete; a stopped or interrupted partial says so itself."""
    if stream is None or stream.outcome not in CUT_SHORT:
        return NO_TROUBLE
    if stream.outcome != "failed" and messages[-1].id == stream.reply_id:
        return NO_TROUBLE
    return explain(stream.error_code or stream.outcome)


def reasoning_of(message: Message) -> str:
    """The text of its reasoning parts, joined."""
    return "".join(part["text"] for part in message.parts if part.get("type") == "reasoning")


def details_of(meta: Mapping[str, Any]) -> str:
    """The model, the time it took, and the length, as far as they are known.

    Args:
        meta: What is known about how a reply was made: `Message.meta`.
    """
    known = [short_name(meta["model"])] if "model" in meta else []
    if "duration_ms" in meta:
        known.append(f"{meta['duration_ms'] / _SECOND:.1f} s")
    if "completion_tokens" in meta:
        known.append(f"{meta['completion_tokens']:,} tokens")
    return " · ".join(known)


def short_name(model: str) -> str:
    """A model's name without its provider's."""
    return model.rpartition("/")[2]


def _shown(message: Message, siblings: list[MessageId], *, is_last: bool) -> ShownMessage:
    cut = message.status in CUT_SHORT or message.meta.get("finish_reason") == "length"
    return ShownMessage(
        id=message.id,
        role=message.role,
        text=message.text,
        reasoning=reasoning_of(message),
        thought_ms=message.meta.get("reasoning_ms", 0),
        status=message.status,
        details=details_of(message.meta),
        continuable=is_last and cut,
        **_version(message.id, siblings),
    )


def _siblings(chat: Chat) -> dict[MessageId | None, list[MessageId]]:
    """The children of each message, oldest first, including the reply being written."""
    children: dict[MessageId | None, list[MessageId]] = {}
    for message in chat.messages:
        children.setdefault(message.parent_id, []).append(message.id)
    stream = chat.open_stream
    if stream is not None and all(message.id != stream.reply_id for message in chat.messages):
        children.setdefault(stream.prompt_id, []).append(stream.reply_id)
    return children


def _version(message_id: MessageId, siblings: list[MessageId]) -> dict[str, Any]:
    index = siblings.index(message_id)
    return {
        "version": index + 1,
        "version_count": len(siblings),
        "previous_id": siblings[index - 1] if index else "",
        "next_id": siblings[index + 1] if index + 1 < len(siblings) else "",
    }
