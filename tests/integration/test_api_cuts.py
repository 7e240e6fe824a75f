"""The cut law over HTTP: cut a response after any byte, resume, and nothing is missing."""

import http.client
from collections.abc import Iterator
from contextlib import closing

import pytest

from chat_app.streams import frame
from tests.support.app_server import AppServer, running
from tests.support.caller import Caller


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    settings = {"MAX_REQUESTS_PER_MINUTE": "0"}
    folder = tmp_path_factory.mktemp("cuts")
    with running(AppServer(folder=folder, settings=settings)) as server:
        yield server


def kept(received: bytes) -> tuple[int, bytes]:
    """Return what a client keeps of a cut body: its cursor, and the complete frames up to it."""
    complete = received[: received.rfind(b"\n\n") + 2] if b"\n\n" in received else b""
    frames = [piece for piece in frame.split(complete) if piece != frame.DONE]
    return (frame.offset_of(frames[-1]) if frames else 0), b"".join(frames)


def test_a_response_cut_after_any_byte_and_resumed_is_the_whole_stream(server: AppServer) -> None:
    with Caller(server) as caller:
        with caller.send(server, "/demo tokens=300 rate=60 words=1", chat="cut") as answer:
            whole = b"".join(answer)
        cookie = "; ".join(f"{each.name}={each.value}" for each in caller.http.cookies.jar)
    events = frame.split(whole)[:-1]
    rest: dict[int, bytes] = {}

    # One connection for all requests makes hundreds of resumes quick.
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        for after in range(len(events) + 1):
            path = f"/api/chat?chatId=cut&after={after}"
            connection.request("GET", path, headers={"cookie": cookie})
            response = connection.getresponse()
            assert response.status == (204 if after == len(events) else 200)
            rest[after] = response.read()

    ends = frame.DONE
    for cut in range(len(whole) + 1):
        cursor, frames = kept(whole[:cut])
        resumed = rest[cursor] or ends  # a 204 tells the client that nothing follows
        assert frames + resumed == whole, f"cut after byte {cut}"
    assert len(events) >= 200
