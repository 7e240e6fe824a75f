"""The API over real services, in this process: every kind of answer to every request."""

import json
from collections.abc import AsyncGenerator

import anyio
import pytest
from starlette.types import ASGIApp

from chat_app.bootstrap import services
from chat_app.config import Settings
from chat_app.streams import frame
from tests.support.asgi import request
from tests.support.in_process_api import TOO_LONG, Caller, in_process_api, prompt, visitor
from tests.support.server_process import text_of

pytestmark = pytest.mark.anyio

SHORT, LONG = "/demo tokens=3 rate=0 words=1", "/demo tokens=5000 rate=100 words=1"


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
async def app(database_url: str) -> AsyncGenerator[ASGIApp]:
    async with in_process_api(Settings(database_url=database_url)) as app:
        yield app


@pytest.fixture
async def caller(app: ASGIApp) -> Caller:
    """A client with a session."""
    return await visitor(app)


async def test_a_session_is_given_once_and_kept(caller: Caller, app: ASGIApp) -> None:
    again = await caller.ask("POST", "/api/session")
    other = await Caller(app).ask("POST", "/api/session")

    assert again.status == other.status == 200
    assert "set-cookie" not in again.headers
    assert again.json()["user_id"] != other.json()["user_id"]
    cookie = other.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie


async def test_a_prompt_is_answered_with_its_stream(caller: Caller) -> None:
    answer = await caller.send(SHORT)

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert answer.headers["x-stream-id"]
    assert "content-length" not in answer.headers
    assert text_of(answer.frames) == "w1 w2 w3 "


@pytest.mark.parametrize("route", ["/api/chat?chatId=holiday", "/api/chat/holiday/stream?"])
async def test_a_stream_is_resumed_behind_the_cursor(caller: Caller, route: str) -> None:
    whole = await caller.send(SHORT)
    frames = frame.split(whole.body)

    by_url = await caller.ask("GET", f"{route}&after=2")
    by_header = await caller.ask("GET", f"{route}&after=1", last_event_id="2")

    assert by_url.body == by_header.body == b"".join(frames[2:])
    assert by_url.headers["x-stream-id"] == whole.headers["x-stream-id"]


async def test_a_finished_answer_is_returned_as_the_stored_message(caller: Caller) -> None:
    await caller.send(SHORT)

    answer = await caller.ask("GET", "/api/chat?chatId=holiday&after=")

    event = json.loads(answer.frames.removeprefix(b"data: ").partition(b"\n")[0])
    assert event["type"] == "data-appendMessage"
    message = json.loads(event["data"])
    assert message["parts"] == [{"type": "text", "text": "w1 w2 w3 "}]
    assert message["metadata"]["status"] == "complete"
    assert (await caller.ask("GET", "/api/chat/holiday/stream")).status == 204


async def test_a_chat_that_does_not_exist_yet_has_no_open_stream(caller: Caller) -> None:
    assert (await caller.ask("GET", "/api/chat/unheard-of/stream")).status == 204


async def test_a_stop_is_accepted_while_something_is_answered(caller: Caller, app: ASGIApp) -> None:
    headers = {"content-type": "application/json", "cookie": caller.cookie}
    async with request(app, "/api/chat", headers=headers) as exchange:
        exchange.send(json.dumps(prompt(LONG)).encode())
        with anyio.fail_after(TOO_LONG):
            await exchange.start()
            await exchange.next()

            stopping = await caller.ask("POST", "/api/chat/holiday/stop")

            rest = await exchange.body()

    assert stopping.status == 202
    assert stopping.json()["cursor"] >= 0
    assert b'"outcome":"stopped"' in rest
    assert rest.endswith(frame.DONE)
    assert (await caller.ask("POST", "/api/chat/holiday/stop")).status == 204


async def test_a_server_that_is_told_to_end_takes_no_more_prompts(caller: Caller) -> None:
    services().generations.leave()

    refused = await caller.send(SHORT)

    assert (refused.status, refused.json()["code"]) == (503, "log_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert (await caller.ask("GET", "/api/chat?chatId=holiday")).status == 404


async def test_a_viewer_that_leaves_ends_nothing_but_its_own_response(
    caller: Caller, app: ASGIApp
) -> None:
    headers = {"content-type": "application/json", "cookie": caller.cookie}
    async with request(app, "/api/chat", headers=headers) as exchange:
        exchange.send(json.dumps(prompt("/demo tokens=50 rate=200 words=1")).encode())
        with anyio.fail_after(TOO_LONG):
            await exchange.start()
            await exchange.next()

    rest = await caller.ask("GET", "/api/chat?chatId=holiday&after=0")

    assert text_of(rest.frames) == "".join(f"w{number} " for number in range(1, 51))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/chat?chatId=unheard-of", 404, "chat_not_found"),
        ("GET", "/api/chat/unheard-of/stream?after=3", 404, "chat_not_found"),
        ("POST", "/api/chat/unheard-of/stop", 404, "chat_not_found"),
        ("GET", "/api/chat", 400, "invalid_request"),
        ("GET", "/api/chat?chatId=holiday&after=x", 400, "invalid_offset"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("POST", "/api/chat", 422, "invalid_request"),
    ],
)
async def test_a_refusal_says_why(
    caller: Caller, method: str, path: str, status: int, code: str
) -> None:
    answer = await caller.ask(method, path, {} if path == "/api/chat" else None)

    assert (answer.status, answer.json()["code"]) == (status, code)


async def test_a_made_up_session_is_refused(app: ASGIApp) -> None:
    answer = await Caller(app, cookie="session=made-up").send(SHORT)

    assert (answer.status, answer.json()["code"]) == (401, "not_authenticated")
