"""What the page shows of a message: its versions, its details, and whether it can be continued."""

from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from chat_app.chats.models import Chat, ChatId, Message, MessageId, MessageStatus, StreamRecord
from chat_app.streams.model import StreamId
from chat_app.ui.shown import ShownMessage, details_of, shown_messages

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def message(
    message_id: str,
    role: Literal["user", "assistant"],
    *,
    after: str | None,
    status: MessageStatus = "complete",
    meta: dict[str, Any] | None = None,
) -> Message:
    return Message(
        id=MessageId(message_id),
        role=role,
        parts=({"type": "reasoning", "text": "Hm."}, {"type": "text", "text": message_id}),
        status=status,
        created_at=NOW,
        parent_id=None if after is None else MessageId(after),
        meta=meta or {},
    )


def open_stream(reply_id: str) -> StreamRecord:
    return StreamRecord(
        id=StreamId("stream"),
        chat_id=ChatId("chat"),
        prompt_id=MessageId("prompt"),
        reply_id=MessageId(reply_id),
        model="demo",
        created_at=NOW,
        claimed=True,
        outcome=None,
        error_code=None,
        closed_at=None,
    )


def show(*messages: Message, active: str, stream: StreamRecord | None = None) -> list[ShownMessage]:
    chat = Chat(
        id=ChatId("chat"),
        title="",
        created_at=NOW,
        updated_at=NOW,
        messages=messages,
        newest_stream=stream,
        active_message_id=MessageId(active),
    )
    return shown_messages(chat, stream)


PROMPT = message("prompt", "user", after=None)
FIRST = message("first", "assistant", after="prompt")
SECOND = message("second", "assistant", after="prompt", status="stopped")
LATER = message("later", "user", after="second")


def test_a_message_knows_the_others_at_its_place() -> None:
    _, second, _ = show(PROMPT, FIRST, SECOND, LATER, active="later")

    assert (second.version, second.version_count, second.previous_id, second.next_id) == (
        2,
        2,
        "first",
        "",
    )


def test_a_reply_in_progress_has_a_place_among_its_versions() -> None:
    _, live = show(PROMPT, FIRST, active="first", stream=open_stream("new"))

    assert live.live
    assert (live.version, live.version_count, live.previous_id) == (2, 2, "first")


def test_a_reply_that_is_being_continued_keeps_its_place_and_its_reasoning() -> None:
    _, live = show(PROMPT, FIRST, SECOND, active="second", stream=open_stream("first"))

    assert (live.id, live.text, live.reasoning) == ("first", "first", "Hm.")
    assert (live.version, live.version_count, live.next_id) == (1, 2, "second")


@pytest.mark.parametrize(
    ("reply", "continuable"),
    [
        (FIRST, False),
        (SECOND, True),
        (message("cut", "assistant", after="prompt", status="interrupted"), True),
        (message("broken", "assistant", after="prompt", status="failed"), True),
        (message("long", "assistant", after="prompt", meta={"finish_reason": "length"}), True),
    ],
)
def test_a_reply_that_ended_too_early_can_be_continued(reply: Message, continuable: bool) -> None:
    assert show(PROMPT, reply, active=reply.id)[-1].continuable is continuable


def test_a_stopped_reply_with_later_messages_cannot_be_continued() -> None:
    _, second, _ = show(PROMPT, SECOND, LATER, active="later")

    assert not second.continuable


@pytest.mark.parametrize(
    ("meta", "told"),
    [
        ({}, ""),
        ({"model": "demo"}, "demo"),
        ({"model": "openai/gpt-4o-mini"}, "gpt-4o-mini"),
        (
            {"model": "demo", "duration_ms": 1234, "completion_tokens": 1500},
            "demo · 1.2 s · 1,500 tokens",
        ),
    ],
)
def test_the_details_are_what_is_known(meta: dict[str, Any], told: str) -> None:
    assert details_of(meta) == told
