"""What a viewer sees when its connection reaches its lifetime or its server shuts down."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from chat_app.streams import frame
from tests.support.app_server import AppServer, running
from tests.support.caller import Caller, text_of


def test_a_long_connection_is_cut_and_the_answer_goes_on_from_the_cursor(tmp_path: Path) -> None:
    settings = {"CONNECTION_LIFETIME": "0.5", "HEARTBEAT_INTERVAL": "0.1"}
    with running(AppServer(folder=tmp_path, settings=settings)) as server, Caller(server) as caller:
        seen: list[bytes] = []
        with (
            caller.send(server, "/demo tokens=60 rate=30 words=1", chat="c") as answer,
            pytest.raises(httpx.RemoteProtocolError),
        ):
            seen += answer
        while not seen[-1].startswith(frame.DONE):
            after = frame.offset_of(seen[-1])
            seen += frame.split(caller.resume(server, "c", after=after, wait=5).content)
        assert "Traceback" not in "".join(server.output)

    assert text_of(b"".join(seen)) == "".join(f"w{number} " for number in range(1, 61))


def test_a_poll_is_told_to_come_back_when_its_server_ends(tmp_path: Path) -> None:
    with (
        running(AppServer(folder=tmp_path)) as server,
        Caller(server) as caller,
        ThreadPoolExecutor() as threads,
    ):
        with caller.send(server, "/demo tokens=2 rate=0 words=1 pause=600@1", chat="c") as answer:
            seen = next(answer)
            while "w1 " not in text_of(seen):
                seen += next(answer)
        tail = frame.offset_of(frame.split(seen)[-1])
        polling = threads.submit(caller.resume, server, "c", after=tail, wait=30)
        caller.resume(server, "c", after=tail, wait=1)  # gives the other poll time to begin
        server.end(signal.SIGTERM)
        told = polling.result()

    assert (told.status_code, told.json()["code"]) == (503, "log_unavailable")
    assert told.headers["retry-after"] == "1"
