"""What the events of a stream add up to."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_app.generation.reply import Kind, Reply
from chat_app.streams import frame
from chat_app.streams.model import Outcome

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
parts_written = st.lists(
    st.tuples(st.sampled_from(["text", "reasoning"]), st.lists(texts, max_size=5))
)


def written(parts: list[tuple[Kind, list[str]]], *, last_ended: bool) -> list[bytes]:
    """Return the frames of a reply that consists of `parts`."""
    events: list[dict[str, Any]] = [{"type": "start", "messageId": "r"}, {"type": "start-step"}]
    for number, (kind, deltas) in enumerate(parts, start=1):
        part = str(number)
        events.append({"type": f"{kind}-start", "id": part})
        events += ({"type": f"{kind}-delta", "id": part, "delta": text} for text in deltas)
        if number < len(parts) or last_ended:
            events.append({"type": f"{kind}-end", "id": part})
    return [frame.encode(offset, frame.event_json(event)) for offset, event in enumerate(events, 1)]


@given(parts=parts_written, last_ended=st.booleans())
def test_a_reply_read_from_its_log_is_the_reply_that_was_written(
    parts: list[tuple[Kind, list[str]]], last_ended: bool
) -> None:
    reply = Reply.from_frames(written(parts, last_ended=last_ended))

    assert reply.started
    assert [(part.kind, part.text) for part in reply.parts] == [
        (kind, "".join(deltas)) for kind, deltas in parts
    ]
    assert reply.text == "".join("".join(deltas) for kind, deltas in parts if kind == "text")
    assert (reply.open_part is None) == (last_ended or not parts)
    assert reply.stored() == [
        {"type": kind, "text": "".join(deltas)} for kind, deltas in parts if deltas
    ]


@given(parts=parts_written, last_ended=st.booleans())
def test_compacting_changes_nothing_in_what_is_stored(
    parts: list[tuple[Kind, list[str]]], last_ended: bool
) -> None:
    frames = written(parts, last_ended=last_ended)

    assert Reply.from_frames(frame.compact(frames)).stored() == Reply.from_frames(frames).stored()


def test_nothing_adds_up_to_nothing() -> None:
    reply = Reply.from_frames([])

    assert not reply.started
    assert (reply.text, reply.open_part, reply.stored()) == ("", None, [])


@pytest.mark.parametrize(
    "event",
    [
        {"type": "start-step"},
        {"type": "error", "errorText": "no"},
        {"type": "abort"},
        {"type": "finish"},
        {"type": "data-note", "data": 1},
        {"type": "text-other", "id": "1"},
    ],
    ids=lambda event: event["type"],
)
def test_an_event_without_text_adds_nothing(event: dict[str, Any]) -> None:
    reply = Reply()

    reply.fold(event)

    assert reply == Reply()


def test_a_reply_is_finished_when_its_step_is() -> None:
    reply = Reply()

    reply.fold({"type": "message-metadata", "messageMetadata": {"model": "m"}})
    reply.fold({"type": "finish-step"})

    assert reply == Reply(finished=True, metadata={"model": "m"})
    assert reply.outcome == Outcome(kind="completed")


def test_a_finished_reply_may_have_failed() -> None:
    reply = Reply()

    reply.fold({"type": "message-metadata", "messageMetadata": {"code": "provider_throttled"}})
    reply.fold({"type": "finish-step"})

    assert reply.outcome == Outcome(kind="failed", code="provider_throttled")


def test_each_delta_is_attributed_to_the_newest_producer_announced_before_it() -> None:
    reply = Reply()
    reply.fold({"type": "start", "messageId": "r", "messageMetadata": {"takeovers": 0}})
    reply.fold({"type": "text-start", "id": "1"})
    assert reply.takeovers_at_newest_delta is None

    reply.fold({"type": "text-delta", "id": "1", "delta": "To"})
    reply.fold({"type": "message-metadata", "messageMetadata": {"takeovers": 2}})
    assert reply.takeovers_at_newest_delta == 0

    reply.fold({"type": "text-delta", "id": "1", "delta": " the"})
    assert reply.takeovers_at_newest_delta == 2
