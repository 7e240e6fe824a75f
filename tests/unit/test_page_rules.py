"""The page's decisions about what to show."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import pytest

from chat_app import errors
from chat_app.chats.models import (
    Chat,
    ChatId,
    Message,
    MessageId,
    MessageStatus,
    StreamRecord,
)
from chat_app.streams.model import OutcomeKind, StreamId
from chat_app.ui.chat_list.listed import ListedChat, lines_after
from chat_app.ui.shown import shown_messages, unanswered_stream
from chat_app.ui.trouble import NO_TROUBLE, explain

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROMPT, REPLY = MessageId("prompt"), MessageId("reply")


def message(
    message_id: str,
    role: Literal["user", "assistant"],
    text: str,
    status: MessageStatus = "complete",
) -> Message:
    return Message(
        id=MessageId(message_id),
        role=role,
        parts=({"type": "text", "text": text},),
        status=status,
        created_at=NOW,
    )


def stream(outcome: OutcomeKind | None) -> StreamRecord:
    return StreamRecord(
        id=StreamId("stream"),
        chat_id=ChatId("chat"),
        prompt_id=PROMPT,
        reply_id=REPLY,
        model="demo",
        created_at=NOW,
        claimed=True,
        outcome=outcome,
        error_code=None,
        closed_at=None if outcome is None else NOW,
    )


def chat(newest: StreamRecord | None, *messages: Message) -> Chat:
    """Return a chat in which each message follows the one before it."""
    before = [None, *(message.id for message in messages)]
    line = [
        replace(message, parent_id=parent)
        for message, parent in zip(messages, before, strict=False)
    ]
    return Chat(
        id=ChatId("chat"),
        title="Holiday",
        created_at=NOW,
        updated_at=NOW,
        messages=tuple(line),
        active_message_id=before[-1],
        newest_stream=newest,
    )


ASKED = message("prompt", "user", "Where to?")
ANSWERED = message("reply", "assistant", "To the sea.")
STOPPED = message("reply", "assistant", "To the", "stopped")
FAILED = message("reply", "assistant", "To the", "failed")
LATER = message("later", "user", "And when?")
OTHER = message("other", "assistant", "To the hills.")
EARLIER = message("earlier", "assistant", "Hello.", "interrupted")

OWED = {
    "an open stream": (chat(stream(None), ASKED), True),
    "an open stream that goes on with a partial": (chat(stream(None), ASKED, STOPPED), True),
    "a failure without a word": (chat(stream("failed"), ASKED), True),
    "a failure in the middle": (chat(stream("failed"), ASKED, FAILED), True),
    "a stop in the middle": (chat(stream("stopped"), ASKED, STOPPED), True),
    "an answer": (chat(stream("completed"), ASKED, ANSWERED), False),
    "a failure to answer anew without a word": (chat(stream("failed"), ASKED, OTHER), True),
    "a stop of an answer made anew, without a word": (chat(stream("stopped"), ASKED, OTHER), False),
    "a last message of another stream": (
        chat(stream("failed"), ASKED, EARLIER, LATER, OTHER),
        False,
    ),
    "a chat without a stream": (chat(None, ASKED), False),
    "a chat without a message": (chat(stream("stopped")), False),
}


@pytest.mark.parametrize("what", OWED)
def test_an_answer_is_owed_when_the_last_message_is_the_users_or_unfinished(what: str) -> None:
    shown, owed = OWED[what]

    assert unanswered_stream(shown) == (shown.newest_stream if owed else None)


def test_only_the_active_path_is_shown() -> None:
    shown = shown_messages(
        replace(chat(stream("completed"), ASKED, ANSWERED, OTHER), active_message_id=REPLY), None
    )

    assert [item.id for item in shown] == [PROMPT, REPLY]


def test_an_answered_chat_is_shown_as_it_is() -> None:
    shown = shown_messages(chat(stream("completed"), ASKED, ANSWERED), None)

    assert [(item.id, item.role, item.text, item.status, item.live) for item in shown] == [
        ("prompt", "user", "Where to?", "complete", False),
        ("reply", "assistant", "To the sea.", "complete", False),
    ]


def test_an_answer_under_way_is_shown_last_and_followed() -> None:
    open_stream = stream(None)

    shown = shown_messages(chat(open_stream, ASKED), open_stream)

    assert [(item.id, item.text, item.live, item.stream_id) for item in shown] == [
        ("prompt", "Where to?", False, ""),
        ("reply", "", True, "stream"),
    ]


def test_a_partial_reply_that_is_being_continued_is_shown_once() -> None:
    open_stream = stream(None)

    shown = shown_messages(chat(open_stream, ASKED, STOPPED), open_stream)

    assert [(item.id, item.text, item.live) for item in shown] == [
        ("prompt", "Where to?", False),
        ("reply", "To the", True),
    ]


def test_a_failed_answer_is_not_followed() -> None:
    failed = stream("failed")

    shown = shown_messages(chat(failed, ASKED, FAILED), failed)

    assert [(item.text, item.status, item.live) for item in shown] == [
        ("Where to?", "complete", False),
        ("To the", "failed", False),
    ]


def leaves(root: type[errors.ChatAppError]) -> Iterator[type[errors.ChatAppError]]:
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from leaves(kind)


CODES = [kind.code for kind in (errors.ChatAppError, *leaves(errors.ChatAppError))]
TOLD = [
    *(kind.code for kind in leaves(errors.GenerationError)),
    errors.InvalidRequest.code,
    errors.PromptTooLarge.code,
    errors.RateLimited.code,
    errors.LogUnavailable.code,
    errors.DatabaseUnavailable.code,
    "interrupted",
]
"""The codes that a reader can see on a prompt or an answer."""


@pytest.mark.parametrize("code", [*CODES, "interrupted", "never_heard_of"])
def test_every_code_has_a_cause_and_a_remedy(code: str) -> None:
    trouble = explain(code)

    assert trouble.code == code
    assert trouble.cause.endswith(".")
    assert trouble.remedy.endswith(".")


@pytest.mark.parametrize("code", TOLD)
def test_every_code_that_a_reader_can_see_has_its_own_text(code: str) -> None:
    assert explain(code).cause != explain("never_heard_of").cause


@pytest.mark.parametrize("code", [None, ""])
def test_an_error_without_a_code_is_one_of_the_server(code: str | None) -> None:
    assert explain(code).code == "internal_error"


def test_no_trouble_has_nothing_to_say() -> None:
    assert (NO_TROUBLE.code, NO_TROUBLE.cause, NO_TROUBLE.remedy) == ("", "", "")


def line(chat_id: str, minute: int) -> ListedChat:
    return ListedChat(
        id=chat_id,
        title=chat_id,
        updated_at=datetime(2026, 1, 1, 12, minute, tzinfo=UTC).isoformat(),
        answering=False,
        unread=False,
        pinned=False,
    )


def test_known_pages_of_the_list_follow_a_reloaded_first_page() -> None:
    known = [line("c", 3), line("b", 2), line("a", 1), line("pinned since", 0)]
    first = [line("new", 9), line("a", 8), line("c", 3)]

    rest = lines_after(first, [*known, line("newer than the page", 5)], excluding=[known[3]])

    assert [chat.id for chat in rest] == ["b"]
    assert lines_after([], known, excluding=[]) == []
