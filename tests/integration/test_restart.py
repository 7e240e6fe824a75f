"""A server without Redis that is killed in mid-answer and restarted."""

import json
from pathlib import Path

import pytest

from tests.support.app_server import AppServer, running
from tests.support.caller import Caller, events, rows, text_of

WORDS = "".join(f"w{number} " for number in range(1, 201))
KEPT = "SELECT checkpoint FROM stream WHERE checkpoint LIKE '%w9 %'"


@pytest.mark.timeout(120)
def test_a_killed_servers_answer_is_interrupted_at_the_next_start_and_can_be_continued(
    tmp_path: Path,
) -> None:
    server = AppServer(folder=tmp_path, settings={"CHECKPOINT_INTERVAL": "0.1"})
    with running(server), Caller(server) as caller:
        with caller.send(server, "/demo tokens=200 rate=50 words=1", chat="c") as answer:
            while not rows(server, KEPT):
                next(answer)
            server.kill()
        [(kept,)] = rows(server, KEPT)

        server.start()
        streams = rows(server, "SELECT outcome FROM stream")
        told = caller.resume(server, "c")
        later = caller.resume(server, "c", after=3)
        [line] = caller.http.get(f"{server.api}/api/chats").json()["chats"]
        going_on = {"id": "c", "trigger": "continue-message"}
        continued = caller.http.post(f"{server.api}/api/chat", json=going_on)

    assert streams == [("interrupted",)]
    message = json.loads(json.loads(told.text.partition("data: ")[2].partition("\n")[0])["data"])
    assert message["metadata"]["status"] == "interrupted"
    assert message["parts"] == [{"type": "text", "text": kept}]
    assert "data-appendMessage" in later.text  # a viewer with a cursor gets the same
    assert not line["answering"]
    assert text_of(continued.content) == WORDS
    assert events(continued.content)[0]["messageId"] == message["id"]
