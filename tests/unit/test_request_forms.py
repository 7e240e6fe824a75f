"""Both forms of a request are read as the same thing."""

from typing import Any

import pytest
from pydantic import ValidationError

from chat_app.api.forms import ChatRequest, Prompt, edit_id

TEXT = {"type": "text", "text": "Where to?"}
FILE = {"type": "file", "url": "data:,x", "mediaType": "text/plain"}
TOOL = {"type": "tool-weather", "toolCallId": "1", "state": "output-available", "output": {}}
QUESTION = {"id": "q", "role": "user", "parts": [TEXT]}
REPLY = {"id": "r", "role": "assistant", "parts": [{"type": "step-start"}, TEXT]}


def read(**body: Any) -> ChatRequest:
    return ChatRequest.model_validate({"id": "c", **body})


def why_not(**body: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        read(**body)
    return str(refused.value)


def test_both_forms_hold_the_same_prompt() -> None:
    short = read(message=QUESTION)
    long = read(messages=[QUESTION], trigger="submit-message")

    assert short.action == long.action == "send"
    assert short.prompt == long.prompt == Prompt(id="q", text="Where to?", edited_id=None)


def test_earlier_messages_can_be_anything() -> None:
    earlier = [
        {"id": "?", "role": "system"},
        {"role": "assistant", "parts": [TOOL, FILE]},
        17,
        None,
    ]

    assert read(messages=[*earlier, QUESTION]).prompt == read(message=QUESTION).prompt


def test_other_keys_and_parts_are_passed_over() -> None:
    message = {**QUESTION, "parts": [FILE, TEXT, TOOL, {"type": "text", "text": "!"}], "x": 1}

    prompt = read(messages=[message], body={"a": "b"}).prompt

    assert prompt is not None
    assert prompt.text == "Where to?!"


def test_an_edit_names_the_prompt_it_replaces() -> None:
    prompt = read(messages=[QUESTION], trigger="submit-message", messageId="q").prompt

    assert prompt == Prompt(id="q", text="Where to?", edited_id="q")


def test_a_reply_sent_as_the_last_message_is_to_be_continued() -> None:
    request = read(messages=[QUESTION, REPLY], trigger="submit-message", messageId="r")

    assert (request.action, request.reply_id) == ("continue", "r")
    assert read(messages=[QUESTION, REPLY]).reply_id == "r"


def test_regenerating_and_continuing_need_no_message() -> None:
    last = read(trigger="regenerate-message")
    one = read(trigger="regenerate-message", messageId="r", messages=[QUESTION])
    goes_on = read(trigger="continue-message", messageId="r")

    assert (last.action, last.reply_id) == ("regenerate", None)
    assert (one.action, one.reply_id) == ("regenerate", "r")
    assert (goes_on.action, goes_on.reply_id) == ("continue", "r")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "a message is required"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"message": QUESTION, "messages": [QUESTION]}, "not both"),
        ({"message": {**QUESTION, "parts": [FILE]}}, "no text part"),
        ({"message": {**QUESTION, "parts": []}}, "no text part"),
        ({"message": {**QUESTION, "role": "system"}}, "role"),
        ({"message": {**QUESTION, "id": "a b"}}, "id"),
        ({"message": QUESTION, "trigger": "sing"}, "trigger"),
        ({"message": QUESTION, "messageId": "a/b"}, "messageId"),
    ],
)
def test_a_request_in_neither_form_is_refused_with_the_reason(
    body: dict[str, Any], reason: str
) -> None:
    assert reason in why_not(**body)


@pytest.mark.parametrize("part", [0, {"type": 0}, {"type": "text", "text": "x"}])
def test_a_million_invalid_parts_cause_only_a_few_errors(part: object) -> None:
    message = {**QUESTION, "parts": [part] * 1_900_000}

    for body in ({"message": message}, {"messages": [message]}):
        with pytest.raises(ValidationError) as refused:
            read(**body)
        assert refused.value.error_count() <= 3  # a single part can be wrong in three ways


def test_the_same_edit_has_the_same_id_and_another_has_another() -> None:
    assert edit_id("q", "Why?") == edit_id("q", "Why?")
    assert len({edit_id("q", "Why?"), edit_id("q", "How?"), edit_id("p", "Why?")}) == 3
