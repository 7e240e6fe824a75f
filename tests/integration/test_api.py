"""The HTTP API over real sockets: one server on the embedded engine, or two on one Redis."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import uuid4

import httpx
import pytest

from chat_app.streams import frame
from tests.support.app_server import AppServer, running
from tests.support.caller import Visit, frames, prompt, rows, text_of
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """One server with default settings."""
    with running(AppServer(folder=tmp_path_factory.mktemp("embedded"))) as server:
        yield server


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator[tuple[AppServer, AppServer]]:
    """Two servers that share one Redis and one database."""
    folder = tmp_path_factory.mktemp("pair")
    settings = {"REDIS_URL": redis_server.url, "LOG_PREFIX": uuid4().hex}
    with ExitStack() as stack:
        servers = [AppServer(folder=folder, settings=settings) for _ in range(2)]
        for server in servers:
            stack.callback(server.close)
            server.launch()
        for server in servers:
            server.wait_until_up()
        yield servers[0], servers[1]


@pytest.fixture(params=["embedded", "pair"])
def servers(request: pytest.FixtureRequest) -> tuple[AppServer, AppServer]:
    """The server of the first request and that of the next: the same if there is only one."""
    started = request.getfixturevalue(request.param)
    return started if isinstance(started, tuple) else (started, started)


@pytest.fixture
def chat() -> str:
    return uuid4().hex


def test_a_stream_cut_after_some_events_goes_on_elsewhere_byte_for_byte(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    here, elsewhere = servers
    caller = visit(here)
    with caller.send(here, "/demo tokens=60 rate=60", chat=chat) as answer:
        begun = [next(answer) for _ in range(12)]
    offset = frame.offset_of(begun[-1])

    rest = caller.resume(elsewhere, chat, after=offset).content
    by_header = caller.http.get(
        f"{here.api}/api/chat", params={"chatId": chat}, headers={"Last-Event-ID": str(offset)}
    ).content
    whole = caller.resume(here, chat, after=0).content

    assert b"".join(begun) + rest == whole
    assert by_header == rest
    assert whole.endswith(frame.DONE)
    offsets = [frame.offset_of(piece) for piece in frame.split(whole)[:-1]]
    assert offsets == list(range(1, len(offsets) + 1))


def test_the_text_of_the_stream_is_the_text_of_the_database(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    here, elsewhere = servers
    caller = visit(here)
    with caller.send(here, "/demo tokens=300 rate=0", chat=chat) as answer:
        whole = b"".join(answer)

    event = json.loads(
        caller.resume(elsewhere, chat).text.partition("data: ")[2].partition("\n")[0]
    )

    message = json.loads(event["data"])
    assert event["type"] == "data-appendMessage"
    assert "".join(part["text"] for part in message["parts"]) == text_of(whole)
    assert message["id"] == frame.decode(frame.split(whole)[0])[1]["messageId"]


def test_a_stop_elsewhere_ends_the_answer_and_keeps_the_partial(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    here, elsewhere = servers
    caller = visit(here)
    with caller.send(here, "/demo tokens=5000 rate=50 words=1", chat=chat) as answer:
        begun = [next(answer) for _ in range(10)]
        stopping = caller.stop(elsewhere, chat)
        whole = b"".join([*begun, *answer])

    assert stopping.status_code == 202
    assert stopping.json()["cursor"] >= 10
    events = [frame.decode(piece)[1] for piece in frame.split(whole)[:-1]]
    assert [event["type"] for event in events[-4:]] == [
        "text-end",
        "finish-step",
        "abort",
        "finish",
    ]
    assert events[-1]["messageMetadata"]["outcome"] == "stopped"
    kept = rows(
        here,
        f"SELECT parts, status FROM message WHERE role = 'assistant' AND chat_key = "
        f"(SELECT key FROM chat WHERE id = '{chat}')",
    )
    assert [(json.loads(parts)[0]["text"], status) for parts, status in kept] == [
        (text_of(whole), "stopped")
    ]
    assert caller.stop(here, chat).status_code == 204


def test_a_silent_model_is_stopped_at_once(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    here, elsewhere = servers
    caller = visit(here)
    with caller.send(here, "/demo tokens=50 rate=0 words=1 pause=600@5", chat=chat) as answer:
        begun: list[bytes] = []
        while "w5 " not in text_of(b"".join(begun)):
            begun.append(next(answer))
        assert caller.stop(elsewhere, chat).status_code == 202
        whole = b"".join([*begun, *answer])

    assert text_of(whole) == "w1 w2 w3 w4 w5 "


def test_a_replay_from_the_beginning_is_compacted(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    here, elsewhere = servers
    caller = visit(here)
    with caller.send(here, "/demo tokens=200 rate=100 words=1", chat=chat) as answer:
        begun = [next(answer)]
        while "w100 " not in text_of(b"".join(begun)):
            begun.append(next(answer))
        with caller.http.stream("GET", f"{elsewhere.api}/api/chat/{chat}/stream") as response:
            replay = b"".join(frames(response))
        whole = b"".join([*begun, *answer])

    assert text_of(replay) == text_of(whole)
    # Four events replace the first ones: three that begin the message, and one with its text.
    assert len(frame.split(replay)) <= len(frame.split(whole)) - len(begun) + 4


def test_the_same_message_sent_again_is_the_same_turn(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    here, elsewhere = servers
    caller = visit(here)
    with caller.send(here, "/demo tokens=40 rate=100", chat=chat, message="m") as first:
        begun = next(first)
        with caller.send(elsewhere, "/demo tokens=40 rate=100", chat=chat, message="m") as again:
            assert b"".join(again) == b"".join([begun, *first])


def test_the_same_message_sent_to_two_servers_at_once_is_one_turn(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    caller = visit(servers[0])
    text = "/demo tokens=40 rate=100"

    def ask(server: AppServer) -> tuple[str, bytes]:
        body = prompt(text, chat=chat, message="m")
        answer = caller.http.post(f"{server.api}/api/chat", json=body)
        return answer.headers["x-stream-id"], answer.content

    with ThreadPoolExecutor() as threads:
        answers = set(threads.map(ask, servers * 4))

    later = {ask(server) for server in servers}
    assert len(answers | later) == 1
    of_chat = f"WHERE chat_key IN (SELECT key FROM chat WHERE id = '{chat}')"
    assert rows(servers[0], f"SELECT count(*) FROM stream {of_chat}") == [(1,)]
    assert rows(servers[0], f"SELECT count(*) FROM message {of_chat}") == [(2,)]


def test_a_prompt_in_the_ai_sdks_form_is_the_same_turn_as_in_the_short_form(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    here, elsewhere = servers
    caller = visit(here)
    short = prompt("/demo tokens=3 rate=0", chat=chat, message="m")
    earlier = {"id": "?", "role": "assistant", "parts": [{"type": "tool-x", "state": None}]}
    long = {
        "id": chat,
        "messages": [earlier, short["message"]],
        "trigger": "submit-message",
        "headers": {},
    }

    first = caller.http.post(f"{here.api}/api/chat", json=long)
    again = caller.http.post(f"{elsewhere.api}/api/chat", json=short)

    assert first.content == again.content
    assert first.headers["x-stream-id"] == again.headers["x-stream-id"]


def test_another_prompt_meanwhile_is_refused_with_the_open_stream(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    here, elsewhere = servers
    caller = visit(here)
    with caller.send(here, "/demo tokens=5000 rate=50", chat=chat) as answer:
        next(answer)
        refused = caller.http.post(
            f"{elsewhere.api}/api/chat", json=prompt("And?", chat=chat, message="other")
        )
        caller.stop(elsewhere, chat)
        assert list(answer)

    assert refused.status_code == 409
    assert refused.json()["code"] == "turn_in_progress"
    assert re.fullmatch("[0-9a-f]{32}", refused.json()["stream_id"])


def test_nobody_else_can_read_or_stop_a_chat_or_learn_that_it_exists(
    servers: tuple[AppServer, AppServer], chat: str, visit: Visit
) -> None:
    here, elsewhere = servers
    owner, stranger = visit(here), visit(here)
    with owner.send(here, "/demo tokens=5000 rate=50", chat=chat) as answer:
        next(answer)
        absent = uuid4().hex
        for call in (stranger.resume, stranger.stop):
            mine, nobodys = call(elsewhere, chat), call(elsewhere, absent)
            assert (mine.status_code, mine.json()) == (nobodys.status_code, nobodys.json())
            assert mine.status_code == 404
        # The stranger can use the same id for a chat of their own.
        with stranger.send(elsewhere, "/demo tokens=1 rate=0", chat=chat) as own:
            assert b"".join(own).endswith(frame.DONE)
        assert owner.stop(elsewhere, chat).status_code == 202
        assert list(answer)


def test_a_request_without_an_identity_is_refused(embedded: AppServer, chat: str) -> None:
    for method, path in (
        ("GET", f"/api/chat?chatId={chat}"),
        ("GET", f"/api/chat/{chat}/stream"),
        ("POST", f"/api/chat/{chat}/stop"),
    ):
        answer = httpx.request(method, embedded.api + path)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    answer = httpx.post(f"{embedded.api}/api/chat", json=prompt("Hello", chat=chat, message="m"))
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_a_session_is_kept(embedded: AppServer) -> None:
    with httpx.Client() as http:
        first = http.post(f"{embedded.api}/api/session")
        again = http.post(f"{embedded.api}/api/session")

    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert again.json() == first.json()
    assert "set-cookie" not in again.headers


def test_a_page_of_another_site_cannot_replace_a_visitors_cookie(embedded: AppServer) -> None:
    own, foreign = {"origin": embedded.api}, {"origin": "https://evil.example"}
    address = f"{embedded.api}/api/session"
    with httpx.Client() as http:
        first = http.post(address, headers=own)
        before = rows(embedded, 'SELECT count(*) FROM "user"')
        # The browser would withhold the cookie, because of SameSite.
        refused = httpx.post(address, headers=foreign, data={"a": "b"})
        again = http.post(address, headers={"origin": embedded.page})

    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden_origin")
    assert "set-cookie" not in refused.headers
    assert rows(embedded, 'SELECT count(*) FROM "user"') == before
    assert again.json() == first.json()


BAD_BODIES = {
    "not json": (b"{", 400, "invalid_json"),
    "not utf-8": (b'{"id": "\xff"}', 400, "invalid_json"),
    "a list": (b"[]", 422, "invalid_request"),
    "no message": (b'{"id": "c"}', 422, "invalid_request"),
    "wrong types": (b'{"id": 1, "message": "hello"}', 422, "invalid_request"),
    "no id": (prompt("Hello", chat="", message="m"), 422, "invalid_request"),
    "a long id": (prompt("Hello", chat="c" * 200, message="m"), 422, "invalid_request"),
    "an id with a path": (prompt("Hello", chat="../c", message="m"), 422, "invalid_request"),
    "a message's id with a blank": (
        prompt("Hello", chat="c", message="m m"),
        422,
        "invalid_request",
    ),
    "an unprintable id": (prompt("Hello", chat="c\n", message="m"), 422, "invalid_request"),
    "an empty prompt": (prompt(" \n", chat="c", message="m"), 422, "invalid_request"),
    "a long prompt": (prompt("x" * 100_001, chat="c", message="m"), 413, "prompt_too_large"),
    "a megabyte": (prompt("x" * 1_000_000, chat="c", message="m"), 413, "prompt_too_large"),
}


@pytest.mark.parametrize("what", BAD_BODIES)
def test_each_kind_of_bad_body_gets_its_own_error_and_nothing_is_written(
    embedded: AppServer, what: str, visit: Visit
) -> None:
    body, status, code = BAD_BODIES[what]
    caller = visit(embedded)
    tables = ("chat", "message", "stream")
    before = [rows(embedded, f"SELECT count(*) FROM {table}") for table in tables]
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    answer = caller.http.post(
        f"{embedded.api}/api/chat", content=content, headers={"content-type": "application/json"}
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message"}
    assert [rows(embedded, f"SELECT count(*) FROM {table}") for table in tables] == before


def test_a_body_without_a_declared_length_is_limited_too(embedded: AppServer, visit: Visit) -> None:
    caller = visit(embedded)

    answer = caller.http.post(
        f"{embedded.api}/api/chat",
        content=(b"x" * 65_536 for _ in range(100)),
        headers={"content-type": "application/json"},
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "prompt_too_large")


@pytest.mark.parametrize("cursor", ["-1", "abc", "1.5", "1e3", "٣", "9" * 30])
def test_a_bad_cursor_is_refused(embedded: AppServer, chat: str, cursor: str, visit: Visit) -> None:
    caller = visit(embedded)
    with caller.send(embedded, "/demo tokens=1 rate=0", chat=chat) as answer:
        assert list(answer)

    refused = caller.resume(embedded, chat, after=cursor)

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_offset")


def test_a_cursor_beyond_the_end_is_refused(embedded: AppServer, chat: str, visit: Visit) -> None:
    caller = visit(embedded)
    with caller.send(embedded, "/demo tokens=1 rate=0", chat=chat) as answer:
        assert list(answer)

    refused = caller.resume(embedded, chat, after=10_000)

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_offset")


def test_a_resume_without_a_chat_is_refused(embedded: AppServer, visit: Visit) -> None:
    caller = visit(embedded)

    nothing = caller.http.get(f"{embedded.api}/api/chat")
    unknown = caller.resume(embedded, uuid4().hex)

    assert (nothing.status_code, nothing.json()["code"]) == (400, "invalid_request")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "chat_not_found")


def test_an_unknown_route_is_an_error_in_the_same_shape(embedded: AppServer) -> None:
    answer = httpx.get(f"{embedded.api}/api/nothing/here")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
