"""Send, edit, regenerate and continue over HTTP, in both forms of a request."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from chat_app.config import Settings
from chat_app.streams import frame
from tests.support.in_process_api import Answer, Caller, in_process_api, visitor
from tests.support.server_process import events, text_of

pytestmark = pytest.mark.anyio

SHORT = "/demo tokens=3 rate=0 words=1"
OTHER = "/demo tokens=4 rate=0 words=1"
THIRD = "/demo tokens=2 rate=0 words=1"
CUT = "/demo tokens=5 rate=0 words=1 fail=2"


@pytest.fixture
async def caller(tmp_path: Path) -> AsyncGenerator[Caller]:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'chat.db'}")
    async with in_process_api(settings) as app:
        yield await visitor(app)


def message(text: str, *, id: str = "q", role: str = "user") -> dict[str, Any]:
    return {"id": id, "role": role, "parts": [{"type": "text", "text": text}]}


async def post(caller: Caller, **body: Any) -> Answer:
    return await caller.ask("POST", "/api/chat", {"id": "holiday", **body})


async def sdk(
    caller: Caller, *messages: Any, trigger: str = "submit-message", **more: Any
) -> Answer:
    """Send a request in the form of `DefaultChatTransport`."""
    return await post(caller, messages=list(messages), trigger=trigger, **more)


def reply_id(answer: Answer) -> str:
    return events(answer.frames)[0]["messageId"]


async def path(caller: Caller) -> list[tuple[str, str]]:
    """Return the roles and texts of the active path, as the owner sees the chat."""
    chat = (await caller.ask("GET", "/api/chats/holiday")).json()
    by_id = {message["id"]: message for message in chat["messages"]}
    shown = [by_id[id] for id in chat["activePath"]]
    return [
        (message["role"], "".join(part.get("text", "") for part in message["parts"]))
        for message in shown
    ]


async def test_an_edit_under_the_same_id_is_another_prompt_beside_the_first(
    caller: Caller,
) -> None:
    first = await sdk(caller, message(SHORT))

    edited = await sdk(caller, message(OTHER), messageId="q")
    again = await sdk(caller, message(OTHER), messageId="q")

    assert reply_id(edited) != reply_id(first)
    assert again.body == edited.body
    assert await path(caller) == [("user", OTHER), ("assistant", "w1 w2 w3 w4 ")]
    chat = (await caller.ask("GET", "/api/chats/holiday")).json()
    assert [each["parentId"] for each in chat["messages"] if each["role"] == "user"] == [None, None]


async def test_the_last_prompt_sent_once_more_under_its_id_is_the_same_turn(
    caller: Caller,
) -> None:
    first = await sdk(caller, message(SHORT), messageId="q")  # not in the chat yet

    again = await sdk(caller, message(SHORT), messageId="q")

    assert again.body == first.body


@pytest.mark.parametrize("texts", [(SHORT, OTHER), (SHORT, OTHER, THIRD, OTHER, SHORT)])
async def test_an_edit_back_to_an_earlier_text_shows_the_earlier_branch_again(
    caller: Caller, texts: tuple[str, ...]
) -> None:
    first = await sdk(caller, message(SHORT))
    for text in texts[1:]:
        await sdk(caller, message(text), messageId="q")

    back = await sdk(caller, message(SHORT), messageId="q")

    assert back.body == first.body
    assert await path(caller) == [("user", SHORT), ("assistant", "w1 w2 w3 ")]


async def test_the_first_prompt_sent_again_without_an_edit_changes_nothing(
    caller: Caller,
) -> None:
    first = await sdk(caller, message(SHORT))
    await sdk(caller, message(OTHER), messageId="q")

    again = await sdk(caller, message(SHORT))

    assert again.body == first.body
    assert await path(caller) == [("user", OTHER), ("assistant", "w1 w2 w3 w4 ")]


async def test_an_edit_back_during_an_answer_shows_the_branch_being_answered(
    caller: Caller,
) -> None:
    await sdk(caller, message(SHORT))
    slow = "/demo tokens=2 rate=0 pause=600@1"
    await caller.ask(
        "POST",
        "/api/chat?wait=0",
        {"id": "holiday", "message": message(slow, id="q2"), "messageId": "q"},
    )

    await sdk(caller, message(SHORT), messageId="q")

    assert await path(caller) == [("user", slow)]
    await caller.ask("POST", "/api/chat/holiday/stop")


async def test_a_client_that_makes_ids_names_the_prompt_it_edits(caller: Caller) -> None:
    await post(caller, message=message(SHORT))

    edited = await post(caller, message=message(OTHER, id="q2"), messageId="q")
    unknown = await post(caller, message=message(OTHER, id="q3"), messageId="never-sent")

    assert edited.status == 200
    assert await path(caller) == [("user", OTHER), ("assistant", "w1 w2 w3 w4 ")]
    assert (unknown.status, unknown.json()["code"]) == (422, "invalid_request")


async def test_regenerating_makes_another_reply_to_the_same_prompt(caller: Caller) -> None:
    first = await sdk(caller, message(SHORT))

    second = await sdk(caller, message(SHORT), trigger="regenerate-message")
    third = await post(caller, trigger="regenerate-message", messageId=reply_id(first))

    assert len({reply_id(answer) for answer in (first, second, third)}) == 3
    assert await path(caller) == [("user", SHORT), ("assistant", "w1 w2 w3 ")]


@pytest.mark.parametrize("form", ["short", "sdk"])
async def test_continuing_extends_the_same_message_and_replays_it_whole(
    caller: Caller, form: str
) -> None:
    failed = await post(caller, message=message(CUT))
    assert text_of(failed.frames) == "w1 w2 "
    reply = reply_id(failed)

    if form == "short":
        answer = await post(caller, trigger="continue-message", messageId=reply)
    else:
        last = message("w1 w2 ", id=reply, role="assistant")
        answer = await sdk(caller, message(CUT), last, messageId=reply)

    assert answer.status == 200, answer.body
    assert reply_id(answer) == reply
    assert text_of(answer.frames).startswith("w1 w2 ")
    assert answer.headers["x-stream-id"] != failed.headers["x-stream-id"]


async def test_a_complete_reply_cannot_be_continued(caller: Caller) -> None:
    await post(caller, message=message(SHORT))

    refused = await post(caller, trigger="continue-message")

    assert (refused.status, refused.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("trigger", ["regenerate-message", "continue-message"])
async def test_a_missing_chat_has_nothing_to_regenerate_or_continue(
    caller: Caller, trigger: str
) -> None:
    refused = await post(caller, trigger=trigger)

    assert (refused.status, refused.json()["code"]) == (404, "chat_not_found")


async def test_a_chat_that_is_being_answered_refuses_anything_else(caller: Caller) -> None:
    await caller.send(SHORT, message="q")
    await caller.send("/demo tokens=2 rate=0 pause=600@1", message="q2", wait=0)

    bodies: list[dict[str, Any]] = [
        {"message": message(OTHER, id="q3")},
        {"message": message(OTHER), "messageId": "q"},
        {"trigger": "regenerate-message", "messageId": "q"},
    ]
    refused = [await post(caller, **body) for body in bodies]

    assert [(answer.status, answer.json()["code"]) for answer in refused] == [
        (409, "turn_in_progress")
    ] * 3
    assert len({answer.json()["stream_id"] for answer in refused}) == 1
    assert (await caller.ask("POST", "/api/chat/holiday/stop")).status == 202


async def test_the_end_of_the_whole_message_is_the_end_of_the_stream(caller: Caller) -> None:
    answer = await sdk(caller, message(SHORT))

    assert answer.body.endswith(frame.DONE)
    assert events(answer.frames)[-1]["type"] == "finish"


async def test_the_model_can_be_chosen_among_those_that_are_offered(caller: Caller) -> None:
    offered = (await caller.ask("GET", "/api/models")).json()

    refused = await post(caller, message=message(SHORT), model="openai/costly")
    nothing = await caller.ask("GET", "/api/chats/holiday")
    accepted = await post(caller, message=message(SHORT), model=offered["default"])
    anew = await post(caller, trigger="regenerate-message", model="openai/costly")

    assert offered == {"models": ["demo"], "default": "demo"}
    assert (refused.status, refused.json()["code"]) == (422, "invalid_request")
    assert "one of demo" in refused.json()["message"]
    assert nothing.status == 404
    assert text_of(accepted.frames) == "w1 w2 w3 "
    assert anew.status == 422
