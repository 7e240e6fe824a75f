"""Where a returning client resumes, and how it learns that there is nothing to resume."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from starlette.types import ASGIApp

from chat_app.config import Settings
from chat_app.streams import frame
from tests.support.asgi import request
from tests.support.in_process_api import TOO_LONG, Caller, in_process_api, visitor
from tests.support.server_process import events, text_of

pytestmark = pytest.mark.anyio

CHAT, STREAM = "/api/chat?chatId=holiday", "/api/chat/holiday/stream?"
SHORT = "/demo tokens=3 rate=0 words=1"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncGenerator[ASGIApp]:
    settings = Settings(database_url=f"sqlite:///{tmp_path / 'chat.db'}")
    async with in_process_api(settings) as app:
        yield app


@pytest.fixture
async def caller(app: ASGIApp) -> Caller:
    return await visitor(app)


@asynccontextmanager
async def request_live(
    caller: Caller, path: str, *, last_event_id: str = "", until: str = "w1 "
) -> AsyncGenerator[str]:
    """Read an open stream until it contains `until`; yield the text, then leave."""
    headers = {"cookie": caller.cookie, "last-event-id": last_event_id}
    async with request(caller.app, path, method="GET", headers=headers) as exchange:
        data = b""
        with anyio.fail_after(TOO_LONG):
            assert (await exchange.start())["status"] == 200
            while until not in text_of(data):
                message = await exchange.next()
                assert message is not None
                data += message["body"]
        yield text_of(data)


def last_id(data: bytes) -> str:
    """Return the cursor an `EventSource` keeps: the newest id, whether or not data came with it."""
    ids = [line for line in data.decode().splitlines() if line.startswith("id: ")]
    return ids[-1].removeprefix("id: ")


@pytest.mark.parametrize("route", [CHAT, STREAM])
async def test_a_cursor_at_the_end_of_a_closed_stream_gets_nothing_more(
    caller: Caller, route: str
) -> None:
    whole = await caller.send(SHORT)
    tail = last_id(whole.body)

    by_header = await caller.ask("GET", route, last_event_id=tail)
    by_url = await caller.ask("GET", f"{route}&after={tail}")

    assert (by_header.status, by_header.body) == (by_url.status, by_url.body) == (204, b"")
    assert by_header.headers["x-stream-id"] == whole.headers["x-stream-id"]


async def test_a_cursor_one_event_before_the_end_gets_one_more(caller: Caller) -> None:
    whole = await caller.send(SHORT)

    rest = await caller.ask("GET", CHAT, last_event_id=str(int(last_id(whole.body)) - 1))

    assert rest.body == b"".join(frame.split(whole.body)[-2:])


async def test_a_client_that_got_the_stored_message_learns_that_nothing_follows(
    caller: Caller,
) -> None:
    await caller.send(SHORT)

    message = await caller.ask("GET", CHAT)
    again = await caller.ask("GET", CHAT, last_event_id=last_id(message.body))

    assert b"data-appendMessage" in message.body
    assert message.body.endswith(frame.DONE)
    assert (again.status, again.body) == (204, b"")


async def test_a_client_that_got_the_stored_message_sees_the_next_answer_from_its_start(
    caller: Caller,
) -> None:
    await caller.send(SHORT)
    kept = last_id((await caller.ask("GET", CHAT)).body)
    await caller.send("/demo tokens=5 rate=0 words=1 pause=600@2", message="next", wait=0)

    async with request_live(caller, CHAT, last_event_id=kept) as text:
        assert text.startswith("w1 ")
    assert (await caller.ask("POST", "/api/chat/holiday/stop")).status == 202


@pytest.mark.parametrize("route", [CHAT, STREAM])
async def test_a_cursor_from_another_stream_is_ignored(caller: Caller, route: str) -> None:
    first = (await caller.send(SHORT)).headers["x-stream-id"]
    second = await caller.send("/demo tokens=5 rate=0 words=1 pause=600@2", message="q", wait=0)
    async with request_live(caller, CHAT):
        pass  # the first deltas are in the log

    path = f"{route}&wait=0&streamId={first}"
    answers = [await caller.ask("GET", path, last_event_id=cursor) for cursor in ("2", "5000")]
    own = f"{route}&wait=0&streamId={second.headers['x-stream-id']}"
    rest = await caller.ask("GET", own, last_event_id="2")
    await caller.ask("POST", "/api/chat/holiday/stop")

    for answer in answers:
        assert answer.headers["x-stream-id"] == second.headers["x-stream-id"]
        assert events(answer.body)[0]["type"] == "start"
    assert rest.body.startswith(b"id: 3\n")


async def test_a_cursor_from_another_stream_does_not_hide_the_stored_message(
    caller: Caller,
) -> None:
    first = (await caller.send(SHORT)).headers["x-stream-id"]
    second = await caller.send(SHORT, message="q")
    path = f"{CHAT}&streamId={first}"

    message = await caller.ask("GET", path, last_event_id=last_id(second.body))
    again = await caller.ask("GET", path, last_event_id=last_id(message.body))
    log = await caller.ask("GET", f"{STREAM}&streamId={first}", last_event_id="2")

    assert b"data-appendMessage" in message.body
    assert again.status == 204  # stops an `EventSource`, even with `streamId` in its URL
    assert (log.status, log.json()["code"]) == (410, "offset_expired")


async def test_the_sdks_route_replays_the_whole_message_compacted(caller: Caller) -> None:
    await caller.send("/demo tokens=90 rate=0 words=1 pause=600@80", wait=0)
    async with request_live(caller, STREAM, until="w80 "):
        pass  # all of it is in the log

    async with request_live(caller, STREAM, until="w80 ") as text:
        assert text == "".join(f"w{number} " for number in range(1, 81))

    replay = await caller.ask("GET", f"{STREAM}&wait=0")
    assert [event["type"] for event in events(replay.body)] == [
        "start",
        "start-step",
        "text-start",
        "text-delta",
    ]
    assert (await caller.ask("POST", "/api/chat/holiday/stop")).status == 202


async def test_a_log_that_is_gone_is_not_taken_for_a_complete_answer(tmp_path: Path) -> None:
    database_url = f"sqlite:///{tmp_path / 'chat.db'}"
    async with in_process_api(Settings(database_url=database_url)) as app:
        caller = await visitor(app)
        await caller.send(SHORT)
    # In another process with an empty store, the log has expired.
    async with in_process_api(Settings(database_url=database_url)) as app:
        later = Caller(app, cookie=caller.cookie)
        message = await later.ask("GET", CHAT, last_event_id="3")
        stream = await later.ask("GET", STREAM, last_event_id="3")

    assert json.loads(message.body.partition(b"data: ")[2].partition(b"\n")[0])["data"]
    assert last_id(message.body) == "end"
    assert (stream.status, stream.json()["code"]) == (410, "offset_expired")
