"""The limits of one caller, one chat and one address."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from chat_app.config import Settings
from tests.support.asgi import request
from tests.support.in_process_api import (
    TOO_LONG,
    Answer,
    Caller,
    in_process_api,
    prompt,
    visitor,
)

pytestmark = pytest.mark.anyio

SHORT = "/demo tokens=1 rate=0"
OPEN = "/demo tokens=2 rate=0 pause=600@1"


@asynccontextmanager
async def limited(folder: Path, **limits: Any) -> AsyncGenerator[Caller]:
    """Open a server with these limits; yield a client with a session."""
    settings = Settings(database_url=f"sqlite:///{folder / 'chat.db'}", **limits)
    async with in_process_api(settings) as app:
        yield await visitor(app)


def refusal(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


async def post(caller: Caller, text: str, *, chat: str, message: str = "q") -> Answer:
    body = {**prompt(text, message=message), "id": chat}
    return await caller.ask("POST", "/api/chat?wait=0", body)


async def test_too_many_prompts_are_refused_until_it_makes_sense_to_come_back(
    tmp_path: Path,
) -> None:
    async with limited(tmp_path, max_prompts_per_minute=2) as caller:
        accepted = [await caller.send(SHORT, message=f"q{number}") for number in range(2)]
        refused = await caller.send(SHORT, message="q3")
        reading = await caller.ask("GET", "/api/chats")

    assert {answer.status for answer in accepted} == {200}
    assert refusal(refused) == (429, "rate_limited")
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert refused.headers["access-control-expose-headers"] == "retry-after"
    assert reading.status == 200


async def test_too_many_requests_of_any_kind_are_refused(tmp_path: Path) -> None:
    async with limited(tmp_path, max_requests_per_minute=3) as caller:
        answers = [await caller.ask("GET", "/api/chats") for _ in range(4)]
        stranger = await visitor(caller.app)
        other = await stranger.ask("GET", "/api/chats")

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert other.status == 200


async def test_too_many_new_guests_of_one_address_are_refused(tmp_path: Path) -> None:
    async with limited(tmp_path, max_guests_per_minute=2) as caller:
        await visitor(caller.app)
        refused = await Caller(caller.app).ask("POST", "/api/session")
        known = await caller.ask("POST", "/api/session")

    assert refusal(refused) == (429, "rate_limited")
    assert "set-cookie" not in refused.headers
    assert known.status == 200


async def test_too_many_answers_at_the_same_time_are_refused(tmp_path: Path) -> None:
    async with limited(tmp_path, max_open_streams=2) as caller:
        begun = [await post(caller, OPEN, chat=f"c{number}") for number in range(2)]
        refused = await post(caller, OPEN, chat="c2")
        again = await post(caller, OPEN, chat="c1")
        nothing_written = await caller.ask("GET", "/api/chats/c2")
        stranger = await visitor(caller.app)
        other = await post(stranger, SHORT, chat="c2")
        for number in range(2):
            await caller.ask("POST", f"/api/chat/c{number}/stop")

    assert {answer.status for answer in begun} == {200}
    assert refusal(refused) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    assert again.headers["x-stream-id"] == begun[1].headers["x-stream-id"]
    assert refusal(nothing_written) == (404, "chat_not_found")
    assert other.status == 200


async def test_too_many_viewers_at_the_same_time_are_refused_until_one_leaves(
    tmp_path: Path,
) -> None:
    live = "/api/chat?chatId=c"
    async with limited(tmp_path, max_viewers=2) as caller:
        await post(caller, OPEN, chat="c")
        headers = {"cookie": caller.cookie}
        async with AsyncExitStack() as stack:
            for _ in range(2):
                watching = request(caller.app, live, method="GET", headers=headers)
                exchange = await stack.enter_async_context(watching)
                assert (await exchange.start())["status"] == 200
            refused = [await caller.ask("GET", live), await post(caller, SHORT, chat="d")]
            nothing_written = await caller.ask("GET", "/api/chats/d")
            stranger = await visitor(caller.app)
            other = await post(stranger, SHORT, chat="d")
        with anyio.fail_after(TOO_LONG):  # the server takes a moment to notice the departure
            while (accepted := await post(caller, SHORT, chat="d")).status == 429:
                pass
        await caller.ask("POST", "/api/chat/c/stop")

    assert {refusal(answer) for answer in refused} == {(429, "rate_limited")}
    assert refused[0].headers["retry-after"] == "1"
    assert refusal(nothing_written) == (404, "chat_not_found")
    assert (other.status, accepted.status) == (200, 200)


async def test_a_chat_that_is_too_long_takes_no_more_prompts(tmp_path: Path) -> None:
    async with limited(tmp_path, max_chat_messages=3) as caller:
        accepted = [await caller.send(SHORT, message=f"q{number}") for number in range(2)]
        refused = await caller.send(SHORT, message="q3")
        again = await caller.send(SHORT, message="q1")
        elsewhere = await post(caller, SHORT, chat="another")

    assert {answer.status for answer in accepted} == {200}
    assert refusal(refused) == (422, "chat_too_long")
    assert again.body == accepted[1].body
    assert elsewhere.status == 200


async def test_a_reply_in_a_full_chat_can_be_continued_but_not_regenerated(tmp_path: Path) -> None:
    async with limited(tmp_path, max_chat_messages=1) as caller:
        await caller.send("/demo tokens=5 rate=0 words=1 fail=2")
        body = {"id": "holiday", "trigger": "continue-message"}
        continued = await caller.ask("POST", "/api/chat", body)
        body = {"id": "holiday", "trigger": "regenerate-message"}
        anew = await caller.ask("POST", "/api/chat", body)

    assert continued.status == 200
    assert refusal(anew) == (422, "chat_too_long")


async def test_limits_of_zero_limit_nothing(tmp_path: Path) -> None:
    none = {
        "max_prompts_per_minute": 0,
        "max_requests_per_minute": 0,
        "max_guests_per_minute": 0,
        "max_open_streams": 0,
        "max_viewers": 0,
        "max_chat_messages": 0,
        "connection_lifetime": 0,
    }
    async with limited(tmp_path, **none) as caller:
        answers = [await caller.send(SHORT, message=f"q{number}") for number in range(3)]

    assert {answer.status for answer in answers} == {200}


async def test_a_request_may_be_as_long_as_the_limit(tmp_path: Path) -> None:
    async with limited(tmp_path, max_request_bytes=1000) as caller:
        earlier = {"id": "q0", "role": "user", "parts": [{"type": "text", "text": "x" * 1000}]}
        last = prompt(SHORT)["message"]
        refused = await caller.ask("POST", "/api/chat", {"id": "c", "messages": [earlier, last]})

    assert refusal(refused) == (413, "prompt_too_large")


async def test_a_page_of_an_allowed_origin_can_read_the_stream_id_and_the_heartbeat(
    tmp_path: Path,
) -> None:
    async with limited(tmp_path) as caller:
        answer = await caller.send(SHORT)

    assert answer.headers["access-control-expose-headers"] == "x-stream-id, x-heartbeat"


@pytest.mark.parametrize("form", ["message", "messages"])
async def test_a_body_full_of_invalid_parts_costs_no_more_than_reading_it(
    tmp_path: Path, form: str
) -> None:
    zeros = {"id": "q", "role": "user", "parts": [0] * 1_250_000}  # 3.75 MB
    async with limited(tmp_path) as caller:
        refused = await caller.ask(
            "POST", "/api/chat", {"id": "c", form: zeros if form == "message" else [zeros]}
        )

    assert refusal(refused) == (422, "invalid_request")


async def test_a_caller_is_refused_before_the_body_is_read(tmp_path: Path) -> None:
    async with limited(tmp_path, max_requests_per_minute=1) as caller:
        nobody = await before_the_body(caller, cookie="")
        in_time = await caller.ask("GET", "/api/chats")
        too_often = await before_the_body(caller, cookie=caller.cookie)

    assert nobody == (401, "not_authenticated")
    assert in_time.status == 200
    assert too_often == (429, "rate_limited")


async def before_the_body(caller: Caller, *, cookie: str) -> tuple[int, str]:
    """Send only the beginning of a prompt; return the status and code of the refusal."""
    headers = {"content-type": "application/json", "cookie": cookie}
    async with request(caller.app, "/api/chat", headers=headers) as exchange:
        exchange.send(b'{"id": "c", ', more=True)
        with anyio.fail_after(TOO_LONG):
            status = (await exchange.start())["status"]
            return status, json.loads(await exchange.body())["code"]
