"""Faults that break resumable-stream 2.2.13 (npm), applied to two of our servers over HTTP.

That package, the best known for the purpose, keeps a stream in the memory of its producer. Each
fault was measured on it first; the table says what happened there. A produces; B is another server
on the same Redis.

    the producer is killed                    the answer was lost, viewers on B hung for ever
    the source fails after token 60           the whole process died, with the chats of others
    a subscriber's connection is cut          tokens were missing, silently
    Redis stalls for 2.5 s                    the model stalled too
    the producer is frozen                    a viewer who resumed got an error
    Redis is down when a prompt is sent       the request hung until it was back
    Redis restarts empty in mid-answer        a new viewer was told that there is nothing
    a viewer reads nothing                    206 MB on A and 41 MB on B for 200,000 tokens
    a GET after the end                       nothing, until the message was in the database
    a POST is dropped in its first moments    nothing to resume, in 2 of 4 tries
    a GET at the moment of the end            200 and an empty body
    a reload while a second POST continues    only what came since the second POST
    the same message

`test_peer_faults_log.py` has viewers that come and go, and a backlog larger than Redis sends to a
subscriber; `tests/interop` has the AI SDK's own client, reloaded while it continues a message.
"""

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import httpx
import pytest
import redis

from chat_app.streams import frame
from tests.support.app_server import AppServer, running_together
from tests.support.caller import Caller, Sending, Visit, events, prompt, text_of
from tests.support.producing import Answer, answering, named_server
from tests.support.redis_server import RedisServer, running_redis

pytestmark = pytest.mark.timeout(150)

Pair = tuple[AppServer, AppServer]
Ask = Callable[[str], AbstractContextManager[Answer]]


@pytest.fixture(scope="module")
def module_redis() -> Iterator[RedisServer]:
    """A Redis for this module alone; each test leaves it running."""
    with running_redis() as server:
        yield server


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, module_redis: RedisServer) -> Iterator[Pair]:
    """Two servers that share one Redis and one database; each test leaves both running."""
    folder = tmp_path_factory.mktemp("pair")
    a, b = (named_server(folder, module_redis.url) for _ in range(2))
    with running_together(a, b):
        yield a, b


@pytest.fixture
def caller(pair: Pair, visit: Visit) -> Caller:
    return visit(pair[0])


@pytest.fixture
def ask(pair: Pair, caller: Caller, module_redis: RedisServer) -> Ask:
    """Has A produce the answer to a text."""
    return lambda text: answering(caller, pair[0], module_redis.url, text)


def words(count: int) -> str:
    """Return the answer to `/demo tokens=<count> words=1`."""
    return "".join(f"w{number} " for number in range(1, count + 1))


def is_exact(data: bytes) -> bool:
    """Whether `data` is a whole stream with its end marker."""
    *pieces, last = frame.split(data)
    offsets = [frame.offset_of(piece) for piece in pieces]
    return last == frame.DONE and offsets == list(range(1, len(pieces) + 1))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_producer_is_killed(
    pair: Pair, caller: Caller, ask: Ask, number: signal.Signals
) -> None:
    a, b = pair
    with (
        ask("/demo tokens=150 rate=50 words=1") as answer,
        caller.watch(b, answer.chat, after=0) as viewing,
    ):
        seen = [next(viewing) for _ in range(20)]
        a.end(number)
        try:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                list(answer.frames)
            fresh = caller.read(b, answer.chat, after=0)
            whole = b"".join([*seen, *viewing])
        finally:
            a.start()

    assert text_of(whole) == words(150)
    assert is_exact(whole)
    assert fresh == whole
    assert caller.read(a, answer.chat, after=0) == whole


def test_the_source_fails_after_token_60(pair: Pair, caller: Caller, ask: Ask) -> None:
    _, b = pair
    with (
        ask("/demo tokens=120 rate=50 words=1") as other,
        ask("/demo tokens=200 rate=100 fail=60 words=1") as failing,
        caller.watch(b, failing.chat, after=0) as viewing,
    ):
        whole = b"".join(viewing)
        unhurt = b"".join(other.frames)

    assert text_of(whole) == words(60)
    assert is_exact(whole)
    *_, error, finish = events(whole)
    assert (error["type"], error["code"]) == ("error", "provider_unavailable")
    assert finish["type"] == "finish"
    assert text_of(unhurt) == words(120)
    assert is_exact(unhurt)


def test_the_subscribers_connection_is_cut_ten_times(
    pair: Pair, caller: Caller, ask: Ask, module_redis: RedisServer
) -> None:
    _, b = pair
    with (
        redis.Redis.from_url(module_redis.url) as client,
        ask("/demo tokens=250 rate=50 words=1") as answer,
        caller.watch(b, answer.chat, after=0) as viewing,
    ):
        seen: list[bytes] = []
        for _ in range(10):
            seen.append(next(viewing))
            mark = text_of(b"".join(seen)).count(" ")
            while text_of(b"".join(seen)).count(" ") < mark + 15:
                seen.append(next(viewing))
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        seen += viewing

    assert text_of(b"".join(seen)) == words(250)
    assert is_exact(b"".join(seen))


def test_redis_stalls_and_the_model_does_not(
    pair: Pair, caller: Caller, ask: Ask, module_redis: RedisServer
) -> None:
    whole = through_a_stall(pair, caller, ask, module_redis, seconds=1.5)

    # The producer kept taking deltas meanwhile; they came as one event.
    assert max(event.get("delta", "").count(" ") for event in events(whole)) > 45


def test_redis_stalls_for_longer_than_a_lease(
    pair: Pair, caller: Caller, ask: Ask, module_redis: RedisServer
) -> None:
    # Afterwards either server may be producing the answer.
    through_a_stall(pair, caller, ask, module_redis, seconds=2.5)


def through_a_stall(
    pair: Pair, caller: Caller, ask: Ask, module_redis: RedisServer, *, seconds: float
) -> bytes:
    """Stall Redis during an answer; return the answer, which viewers of both servers share."""
    with (
        ask("/demo tokens=200 rate=50 words=1") as answer,
        caller.watch(pair[1], answer.chat, after=0) as viewing,
    ):
        seen = [next(viewing) for _ in range(20)]
        module_redis.pause()
        thaw = threading.Timer(seconds, module_redis.resume)
        thaw.start()
        whole = b"".join([*seen, *viewing])
        at_home = b"".join(answer.frames)
        thaw.join()
    assert text_of(whole) == words(200)
    assert is_exact(whole)
    assert at_home == whole
    return whole


def test_a_viewer_resumes_while_the_producer_is_frozen(
    pair: Pair, caller: Caller, ask: Ask
) -> None:
    a, b = pair
    with ask("/demo tokens=100 rate=50 words=1") as answer:
        seen = [next(answer.frames) for _ in range(20)]
        a.pause()
        try:
            with caller.watch(b, answer.chat, after=0) as viewing:
                # The viewer neither asks the producer nor waits for it.
                resumed = [next(viewing) for _ in range(20)]
                a.resume()
                resumed += viewing
        finally:
            a.resume()

    assert resumed[:20] == seen
    assert text_of(b"".join(resumed)) == words(100)
    assert is_exact(b"".join(resumed))


def test_redis_is_down_when_a_prompt_is_sent(
    pair: Pair, caller: Caller, module_redis: RedisServer
) -> None:
    a, _ = pair
    body = prompt("/demo tokens=5 rate=0 words=1", chat=uuid4().hex, message="m")
    module_redis.kill()
    try:
        begun = time.monotonic()
        refused = caller.http.post(f"{a.api}/api/chat", json=body)
        took = time.monotonic() - begun
    finally:
        module_redis.start()

    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert took < 3
    assert text_of(retrying(caller, "POST", f"{a.api}/api/chat", json=body)) == words(5)


def test_redis_restarts_empty_in_mid_answer(
    pair: Pair, caller: Caller, ask: Ask, module_redis: RedisServer
) -> None:
    _, b = pair
    with (
        ask("/demo tokens=200 rate=50 words=1") as answer,
        caller.watch(b, answer.chat, after=0) as viewing,
    ):
        seen = [next(viewing) for _ in range(20)]
        module_redis.restart()
        fresh = retrying(
            caller, "GET", f"{b.api}/api/chat", params={"chatId": answer.chat, "after": "0"}
        )
        whole = b"".join([*seen, *viewing])
        at_home = b"".join(answer.frames)

    assert text_of(whole) == words(200)
    assert is_exact(whole)
    assert fresh == whole
    assert at_home == whole


def retrying(caller: Caller, method: str, url: str, **request: object) -> bytes:
    """Retry a request for as long as the server asks for it; return the body of the answer."""
    for _ in range(1000):
        answer = caller.http.request(method, url, **request)  # pyright: ignore[reportArgumentType]
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            assert answer.status_code == httpx.codes.OK, answer.text
            return answer.content.replace(frame.HEARTBEAT, b"")
    raise AssertionError("still refused")


def test_viewers_that_read_nothing_cost_no_memory(pair: Pair, caller: Caller, ask: Ask) -> None:
    before = [resident(server) for server in pair]
    with ask("/demo tokens=1000000 rate=0 words=1") as answer, ExitStack() as stack:
        for server in pair:
            for _ in range(50):
                stack.enter_context(closing(staring(caller, server, answer.chat)))
        whole = b"".join(answer.frames)
        grown = [resident(server) - was for server, was in zip(pair, before, strict=True)]

    assert text_of(whole) == words(1_000_000)
    # The producer keeps one copy until the end. With a queue per viewer both servers would grow.
    assert max(grown) < 50 * len(whole) / 2


def resident(server: AppServer) -> int:
    """Return the resident memory of all processes of a server, in bytes."""
    return sum(process.memory_info().rss for process in server.processes)


def staring(caller: Caller, server: AppServer, chat: str) -> socket.socket:
    """Open a viewer that asks for a stream and never reads it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", server.port))
    query = urlencode({"chatId": chat, "after": 0})
    connection.sendall(head(caller, server, f"GET /api/chat?{query}"))
    return connection


def head(caller: Caller, server: AppServer, request: str, *lines: str) -> bytes:
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in caller.http.cookies.jar)
    host = urlsplit(server.api).netloc
    head = [f"{request} HTTP/1.1", f"host: {host}", f"cookie: {cookies}", *lines]
    return "\r\n".join([*head, "", ""]).encode()


def test_a_get_after_the_end(pair: Pair, caller: Caller) -> None:
    a, _ = pair
    chat = uuid4().hex
    with caller.send(a, "/demo tokens=50 rate=0 words=1", chat=chat) as sending:
        whole = b"".join(sending)

    for server in pair:
        assert caller.read(server, chat, after=0) == whole
        assert message_in(caller.resume(server, chat).content) == words(50)


def message_in(data: bytes) -> str:
    """Return the text of the one message in the response for a finished answer."""
    found = re.search(rb"^data: (\{.*\})$", data, re.MULTILINE)
    assert found is not None, data
    event = json.loads(found[1])
    assert event["type"] == "data-appendMessage"
    return "".join(part["text"] for part in json.loads(event["data"])["parts"])


def test_a_post_dropped_in_its_first_moments_can_always_be_resumed(
    pair: Pair, caller: Caller
) -> None:
    a, b = pair
    for number in range(50):
        chat = uuid4().hex
        drop_post(caller, a, chat, after=number / 1000)
        text = ""
        for _ in range(200):  # the POST may not have reached its server yet
            answer = caller.resume(b, chat)
            if answer.status_code == httpx.codes.OK:
                text = text_of(answer.content) or message_in(answer.content)
                break
            assert answer.status_code in {404, 503}, answer.text

        assert text == words(10)


def drop_post(caller: Caller, server: AppServer, chat: str, *, after: float) -> None:
    """Send a prompt and disconnect `after` some seconds, or at the first byte."""
    text = "/demo tokens=10 rate=200 words=1"
    body = json.dumps(prompt(text, chat=chat, message=uuid4().hex)).encode()
    lines = ["content-type: application/json", f"content-length: {len(body)}"]
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head(caller, server, "POST /api/chat", *lines) + body)
        connection.settimeout(after or 1e-6)
        with suppress(TimeoutError):
            connection.recv(1)


def test_a_get_at_the_moment_of_the_end_is_never_empty(pair: Pair, caller: Caller) -> None:
    a, b = pair
    with ThreadPoolExecutor(4) as pool:
        for number in range(20):
            chat = uuid4().hex
            with caller.send(a, f"/demo tokens={number + 1} rate=0 words=1", chat=chat) as sending:
                next(sending)
                asked = [pool.submit(caller.resume, server, chat) for server in (a, b, a, b)]
                whole = text_of(b"".join(sending))
            for asking in asked:
                answer = asking.result()
                assert answer.status_code == httpx.codes.OK
                assert (text_of(answer.content) or message_in(answer.content)) == whole


def test_a_reload_while_a_second_post_continues_the_same_message(
    pair: Pair, caller: Caller
) -> None:
    a, b = pair
    chat = uuid4().hex
    with caller.send(a, "/demo tokens=150 rate=50 fail=60 words=1", chat=chat) as sending:
        first = b"".join(sending)
    body = {"id": chat, "trigger": "continue-message", "messageId": message_id(first)}
    with Sending(caller.http.stream("POST", f"{a.api}/api/chat", json=body)) as continuing:
        seen = [next(continuing) for _ in range(20)]
        with (
            caller.watch(b, chat) as reloaded,
            caller.watch(b, chat, after=0) as from_the_beginning,
        ):
            compacted = b"".join(reloaded)
            replayed = b"".join(from_the_beginning)
        whole = b"".join([*seen, *continuing])

    assert text_of(first) == words(60)
    assert text_of(whole) == words(150)
    assert is_exact(whole)
    assert replayed == whole
    assert text_of(compacted) == words(150)
    assert {message_id(data) for data in (first, whole, compacted)} == {body["messageId"]}


def message_id(data: bytes) -> str:
    """Return the id of the message that a stream produces."""
    start = events(data)[0]
    assert start["type"] == "start"
    return start["messageId"]
