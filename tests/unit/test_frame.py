"""Encoding an event as a frame, and compacting many frames into few."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_app.generation.reply import Reply
from chat_app.streams import frame

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
"""Any text that UTF-8 can hold."""
odd_texts = st.text(max_size=30)
"""Any text at all, including lone surrogates."""
offsets = st.integers(min_value=1, max_value=10**15)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Draw the frames of a stream: parts of text and reasoning, cut into arbitrary deltas."""
    events: list[bytes] = [frame.event_json({"type": "start", "messageId": "reply"})]
    for number, kind in enumerate(draw(st.lists(st.sampled_from(["text", "reasoning"]))), start=1):
        part = str(number)
        events.append(frame.event_json({"type": f"{kind}-start", "id": part}))
        for text in draw(st.lists(texts, max_size=6)):
            events.append(frame.event_json({"type": f"{kind}-delta", "id": part, "delta": text}))
            if draw(st.integers(0, 9)) == 0:
                events.append(frame.event_json({"type": "data-note", "data": {"text": text}}))
        if draw(st.booleans()):
            events.append(frame.event_json({"type": f"{kind}-end", "id": part}))
    if draw(st.booleans()):
        events.append(frame.event_json({"type": "finish"}))
    return [frame.encode(offset, event) for offset, event in enumerate(events, start=1)]


@given(offset=offsets, text=texts)
def test_any_text_comes_out_of_a_frame_as_it_went_in(offset: int, text: str) -> None:
    event = {"type": "text-delta", "id": "1", "delta": text}

    plain = frame.encode(offset, frame.event_json(event))
    fast = frame.encode_delta(offset, "text-delta", "1", text)

    assert frame.decode(plain) == frame.decode(fast) == (offset, event)


@given(text=odd_texts)
def test_a_delta_that_no_utf8_can_hold_costs_its_bad_characters_and_nothing_else(
    text: str,
) -> None:
    _, event = frame.decode(frame.encode_delta(1, "text-delta", "1", text))

    assert event["delta"] == text.encode(errors="replace").decode()


@given(items=st.lists(st.tuples(offsets, texts)))
def test_joined_frames_are_cut_where_they_were_joined(items: list[tuple[int, str]]) -> None:
    frames = [
        frame.encode(offset, frame.event_json({"type": "data-x", "data": text}))
        for offset, text in items
    ]

    assert frame.split(b"".join(frames)) == frames
    assert [frame.offset_of(piece) for piece in frames] == [offset for offset, _ in items]


@pytest.mark.parametrize("value", [0, "", False, [], {}])
def test_only_fields_that_are_none_are_left_out(value: Any) -> None:
    assert json.loads(frame.event_json({"type": "x", "a": None, "b": value})) == {
        "type": "x",
        "b": value,
    }


@given(frames=streams())
def test_a_compacted_stream_is_the_same_message(frames: list[bytes]) -> None:
    compacted = list(frame.compact(frames))

    assert Reply.from_frames(compacted) == Reply.from_frames(frames)
    others = [event for _, event in map(frame.decode, frames) if "delta" not in event]
    kept = [event for _, event in map(frame.decode, compacted) if "delta" not in event]
    assert kept == others


@given(frames=streams())
def test_a_compacted_stream_ends_at_the_same_offset_and_its_offsets_grow(
    frames: list[bytes],
) -> None:
    compacted = [frame.offset_of(piece) for piece in frame.compact(frames)]

    assert compacted[-1] == frame.offset_of(frames[-1])
    assert compacted == sorted(set(compacted))


@given(frames=streams())
def test_no_two_neighbours_of_a_compacted_stream_could_be_one(frames: list[bytes]) -> None:
    heads = [
        (event["type"], event.get("id")) if "delta" in event else None
        for _, event in map(frame.decode, frame.compact(frames))
    ]

    assert not [pair for pair in pairwise(heads) if pair[0] is not None and pair[0] == pair[1]]


@given(frames=streams(), cut=st.integers(min_value=0))
def test_compacting_up_to_anywhere_and_going_on_is_the_same_message(
    frames: list[bytes], cut: int
) -> None:
    cut %= len(frames) + 1

    resumed = [*frame.compact(frames[:cut]), *frames[cut:]]

    assert Reply.from_frames(resumed) == Reply.from_frames(frames)


def test_compacting_nothing_gives_nothing() -> None:
    assert list(frame.compact([])) == []


def test_a_delta_within_another_event_is_left_alone() -> None:
    events = [
        {"type": "data-n", "data": {"delta": "x"}},
        {"type": "text-delta", "id": "1", "delta": "y", "providerMetadata": {"p": {"delta": "z"}}},
        {"type": "text-delta", "id": "1", "providerMetadata": {"p": {}}, "delta": "w"},
    ]
    frames = [frame.encode(i, frame.event_json(event)) for i, event in enumerate(events, start=1)]

    assert list(frame.compact(frames)) == frames


def test_a_lone_surrogate_in_any_event_ends_no_stream() -> None:
    assert frame.event_json({"type": "error", "errorText": "a\ud800b"}).endswith(b'"a?b"}')
