"""Chats over HTTP: what another front end needs."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.types import ASGIApp

from chat_app.config import Settings
from tests.support.in_process_api import Answer, Caller, in_process_api, visitor
from tests.support.server_process import events

pytestmark = pytest.mark.anyio

SHORT = "/demo tokens=2 rate=0 words=1"
CHAT = "/api/chats/holiday"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncGenerator[ASGIApp]:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'chat.db'}")
    async with in_process_api(settings) as app:
        yield app


@pytest.fixture
async def caller(app: ASGIApp) -> Caller:
    return await visitor(app)


async def ask(caller: Caller, *, chat: str = "holiday", id: str = "q", **more: Any) -> Answer:
    parts = [{"type": "text", "text": SHORT}]
    message = {"id": id, "role": "user", "parts": parts}
    return await caller.ask("POST", "/api/chat", {"id": chat, "message": message, **more})


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


async def test_a_chat_is_listed_read_renamed_and_deleted(caller: Caller) -> None:
    answer = await ask(caller)

    listed = (await caller.ask("GET", "/api/chats")).json()
    chat = (await caller.ask("GET", CHAT)).json()
    renamed = (await caller.ask("PATCH", CHAT, {"title": "  The   sea "})).json()
    deleted = await caller.ask("DELETE", CHAT)

    assert [(line["id"], line["answering"]) for line in listed["chats"]] == [("holiday", False)]
    assert listed["next"] is None
    prompt, reply = chat["messages"]
    assert (prompt["id"], prompt["role"], prompt["parentId"]) == ("q", "user", None)
    assert (reply["role"], reply["parentId"]) == ("assistant", "q")
    assert reply["id"] == events(answer.frames)[0]["messageId"]
    assert reply["parts"] == [{"type": "text", "text": "w1 w2 "}]
    assert (reply["status"], reply["metadata"]["status"]) == ("complete", "complete")
    assert chat["activePath"] == [prompt["id"], reply["id"]]
    assert (chat["activeMessageId"], chat["openStreamId"]) == (reply["id"], None)
    assert renamed["title"] == "The sea"
    assert (deleted.status, deleted.body) == (204, b"")
    assert code(await caller.ask("GET", CHAT)) == (404, "chat_not_found")
    assert code(await caller.ask("DELETE", CHAT)) == (404, "chat_not_found")


async def test_the_list_comes_a_page_at_a_time(caller: Caller) -> None:
    for number in range(5):
        await ask(caller, chat=f"c{number}")

    pages: list[Any] = [(await caller.ask("GET", "/api/chats?limit=2")).json()]
    while pages[-1]["next"] is not None:
        path = f"/api/chats?limit=2&before={quote(pages[-1]['next'])}"
        pages.append((await caller.ask("GET", path)).json())

    listed = [[line["id"] for line in page["chats"]] for page in pages]
    assert listed == [["c4", "c3"], ["c2", "c1"], ["c0"]]


async def test_another_branch_is_shown(caller: Caller) -> None:
    await ask(caller)
    first = (await caller.ask("GET", CHAT)).json()["activeMessageId"]
    await ask(caller, id="q2", messageId="q")
    second = (await caller.ask("GET", CHAT)).json()["activePath"]

    changed = await caller.ask("PATCH", CHAT, {"activeMessageId": "q"})

    assert second[0] == "q2"
    assert changed.json()["activePath"] == ["q", first]


async def test_the_open_stream_is_named_and_deleted_with_the_chat(caller: Caller) -> None:
    parts = [{"type": "text", "text": "/demo tokens=2 rate=0 pause=600@1"}]
    message = {"id": "q", "role": "user", "parts": parts}
    begun = await caller.ask("POST", "/api/chat?wait=0", {"id": "holiday", "message": message})

    chat = (await caller.ask("GET", CHAT)).json()
    refused = await caller.ask("PATCH", CHAT, {"activeMessageId": "q"})
    deleted = await caller.ask("DELETE", CHAT)

    assert chat["openStreamId"] == begun.headers["x-stream-id"]
    assert code(refused) == (409, "turn_in_progress")
    assert deleted.status == 204
    assert code(await caller.ask("GET", "/api/chat?chatId=holiday")) == (404, "chat_not_found")


async def test_a_change_with_an_invalid_title_changes_nothing(caller: Caller) -> None:
    await ask(caller)
    await ask(caller, id="q2", messageId="q")
    before = (await caller.ask("GET", CHAT)).json()

    refused = await caller.ask("PATCH", CHAT, {"title": " ", "activeMessageId": "q"})
    after = (await caller.ask("GET", CHAT)).json()
    accepted = await caller.ask("PATCH", CHAT, {"title": "Sea", "activeMessageId": "q"})

    assert code(refused) == (422, "invalid_request")
    assert after == before
    assert before["activePath"][0] == "q2"
    assert accepted.json()["title"] == "Sea"
    assert accepted.json()["activePath"][0] == "q"


async def test_a_chat_is_exported_as_a_file(caller: Caller) -> None:
    await ask(caller)
    await caller.ask("PATCH", CHAT, {"title": 'Söder & "Ost"'})

    markdown = await caller.ask("GET", f"{CHAT}/export")
    as_json = await caller.ask("GET", f"{CHAT}/export?format=json")

    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    assert markdown.headers["content-disposition"] == (
        "attachment; filename=\"chat.md\"; filename*=UTF-8''S%C3%B6der%20%26%20%22Ost%22.md"
    )
    assert markdown.body.decode() == (
        f'# Söder & "Ost"\n\n## Question\n\n{SHORT}\n\n## Answer\n\nw1 w2\n'
    )
    assert as_json.headers["content-type"] == "application/json"
    assert json.loads(as_json.body) == (await caller.ask("GET", CHAT)).json()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", CHAT, {}, 422),
        ("PATCH", CHAT, {"title": " \n"}, 422),
        ("PATCH", CHAT, {"title": "x" * 201}, 422),
        ("PATCH", CHAT, {"activeMessageId": "never-sent"}, 422),
        ("PATCH", CHAT, {"activeMessageId": "a/b"}, 422),
        ("GET", "/api/chats?limit=0", None, 400),
        ("GET", "/api/chats?limit=1000", None, 400),
        ("GET", "/api/chats?before=yesterday", None, 422),
        ("GET", f"{CHAT}/export?format=pdf", None, 400),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(
    caller: Caller, method: str, path: str, body: object, status: int
) -> None:
    await ask(caller)

    assert code(await caller.ask(method, path, body)) == (status, "invalid_request")


async def test_nobody_elses_chat_can_be_read_changed_or_deleted(
    caller: Caller, app: ASGIApp
) -> None:
    await ask(caller)
    stranger = await visitor(app)

    answers = [
        await stranger.ask("GET", CHAT),
        await stranger.ask("GET", f"{CHAT}/export"),
        await stranger.ask("PATCH", CHAT, {"title": "Mine"}),
        await stranger.ask("PATCH", CHAT, {"activeMessageId": "q"}),
        await stranger.ask("DELETE", CHAT),
    ]

    assert {code(answer) for answer in answers} == {(404, "chat_not_found")}
    assert (await stranger.ask("GET", "/api/chats")).json()["chats"] == []
    assert (await caller.ask("GET", CHAT)).status == 200
