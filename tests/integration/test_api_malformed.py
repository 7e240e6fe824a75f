"""A thousand requests that no sane client would send."""

import random
from collections.abc import Iterator

import httpx
import pytest

from tests.support.app_server import AppServer, running
from tests.support.caller import Caller, prompt, rows

SEED, REQUESTS = 20_261_121, 1000
TABLES = ("user", "login_session", "chat", "message", "stream")
STRANGE = [
    "",
    " ",
    "\0",
    "null",
    "a/b",
    "../..",
    "%00",
    "\ud800",
    "é" * 200,
    "x" * 300,
    "🙂",
    "a b",
]
TYPES = ["application/json", "text/plain", "application/x-www-form-urlencoded", "", "multipart/x"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    settings = {"MAX_REQUESTS_PER_MINUTE": "0", "MAX_PROMPTS_PER_MINUTE": "0"}
    folder = tmp_path_factory.mktemp("malformed")
    with running(AppServer(folder=folder, settings=settings)) as server:
        yield server


def junk(chance: random.Random, depth: int = 0) -> object:
    """Return a random JSON value, however senseless."""
    plain = [None, True, 0, -1, 1e308, chance.choice(STRANGE), chance.random()]
    if depth > 3 or chance.random() < 0.6:
        return chance.choice(plain)
    if chance.random() < 0.5:
        return [junk(chance, depth + 1) for _ in range(chance.randrange(4))]
    keys = ["id", "message", "messages", "parts", "text", "type", "role", "trigger", "title"]
    return {chance.choice(keys): junk(chance, depth + 1) for _ in range(chance.randrange(4))}


def spoiled(chance: random.Random) -> object:
    """Return a valid prompt with one thing wrong."""
    body = prompt("Hello", chat="c", message="m")
    message = body["message"]
    wrong = chance.choice([None, 1, [], {}, "", " ", "a/b", "x" * 200])
    place = chance.choice(["id", "message", "message.id", "role", "parts", "text", "twice", "last"])
    if place in {"id", "message"}:
        body[place] = wrong
    elif place == "message.id":
        message["id"] = wrong
    elif place in {"role", "parts"}:
        message[place] = wrong
    elif place == "text":
        message["parts"] = [{"type": "text", "text": chance.choice([None, 1, "", " \n", "\0"])}]
    elif place == "twice":
        body["messages"] = [message]
    else:
        body["messages"] = [body.pop("message"), wrong]
    return body


def sent(chance: random.Random, base: str) -> httpx.Request:
    """Return a malformed request, which no server could accept."""
    strange = chance.choice(STRANGE).encode(errors="replace").decode()
    path = chance.choice(
        [
            "/api/chat",
            "/api/chats/unknown",
            "/api/chat/unknown/stop",
            "/api/chats",
            "/api/session/x",
        ]
    )
    method = chance.choice(["POST", "PATCH", "PUT", "DELETE", "GET"])
    if chance.random() < 0.5:
        method, path = "POST", "/api/chat"
    query = {chance.choice(["after", "wait", "chatId", "limit", "before", "format"]): strange}
    body: object = spoiled(chance) if chance.random() < 0.6 else junk(chance)
    content = httpx.Request("POST", base, json=body).content if _encodes(body) else b"{"
    if chance.random() < 0.2:
        cut = chance.randrange(len(content) + 1)
        content = content[:cut] + bytes(chance.randrange(256) for _ in range(5))
    headers = {
        "content-type": chance.choice(TYPES),
        "last-event-id": chance.choice(["x", "-1", "9"]),
    }
    return httpx.Request(method, base + path, params=query, content=content, headers=headers)


def _encodes(body: object) -> bool:
    try:
        httpx.Request("POST", "http://x", json=body)
    except (ValueError, UnicodeEncodeError):
        return False
    return True


def test_a_thousand_malformed_requests_are_refused_and_nothing_is_written(
    server: AppServer,
) -> None:
    chance = random.Random(SEED)
    with Caller(server) as caller:
        before = counts(server)
        answers: list[tuple[httpx.Request, httpx.Response]] = []
        for _ in range(REQUESTS):
            request = sent(chance, server.api)
            caller.http.cookies.set_cookie_header(request)
            answers.append((request, caller.http.send(request)))
        after = counts(server)

    failed = [
        f"{request.method} {request.url}" for request, answer in answers if answer.is_server_error
    ]
    assert failed == []
    refused = [answer for _, answer in answers if answer.is_client_error]
    assert len(refused) > 0.8 * REQUESTS  # the others only read a list
    assert {frozenset(answer.json()) for answer in refused} == {frozenset({"code", "message"})}
    assert after == before


def counts(server: AppServer) -> list[object]:
    return [rows(server, f'SELECT count(*) FROM "{table}"') for table in TABLES]
