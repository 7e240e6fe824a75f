"""Making a chosen server produce an answer, instead of whichever is quickest."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
from redis.client import Monitor

from tests.support.app_server import AppServer
from tests.support.caller import Caller, frames, prompt
from tests.support.ports import free_port

TRIES = 30
UNLIMITED = {"MAX_PROMPTS_PER_MINUTE": "0", "MAX_REQUESTS_PER_MINUTE": "0"}


def named_server(folder: Path, redis_url: str, **settings: str) -> AppServer:
    """Return a server whose connections Redis knows by its name."""
    port = free_port()
    url = f"{redis_url}?client_name={_name(port)}"
    settings = {"REDIS_URL": url, **UNLIMITED, **settings}
    return AppServer(folder=folder, port=port, settings=settings)


def _name(port: int) -> str:
    return f"server-{port}"


class Answer:
    """An answer in progress, as the client that asked for it sees it.

    Attributes:
        frames: The rest of its frames.
    """

    def __init__(self, chat: str, stream_id: str, frames: Iterator[bytes]) -> None:
        self.chat = chat
        self.stream_id = stream_id
        self.frames = frames


@contextmanager
def answering(caller: Caller, server: AppServer, redis_url: str, text: str) -> Iterator[Answer]:
    """Get an answer to `text` that `server` produces.

    The servers share a queue and any of them may take a prompt, so the prompt is sent in new
    chats until the right server takes it. `frames` starts with the answer's first frame.

    Args:
        caller: The client that asks, at `server`.
        server: A server made by `named_server`.
        redis_url: The servers' Redis.
        text: The prompt. Its answer must take a few moments.
    """
    for _ in range(TRIES):
        chat = uuid4().hex
        body = prompt(text, chat=chat, message=uuid4().hex)
        with (
            redis.Redis.from_url(redis_url) as client,
            client.monitor() as monitor,
            caller.http.stream("POST", f"{server.api}/api/chat", json=body) as response,
        ):
            assert response.status_code == 200, response.read()
            stream_id = response.headers["x-stream-id"]
            answer = frames(response)
            first = next(answer)
            if _writer_of(stream_id, monitor, client) == _name(server.port):
                monitor.__exit__(None, None, None)  # MONITOR would slow the test's Redis down
                yield Answer(chat, stream_id, _with(first, answer))
                return
            caller.stop(server, chat)
    raise AssertionError("the server did not take a single prompt")


def _with(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _writer_of(stream_id: str, monitor: Monitor, client: redis.Redis) -> str:
    """Return the name of the connection that appends to a stream."""
    heard: Any = monitor.listen()
    for command in heard:
        if stream_id in command["command"] and "messageId" in command["command"]:
            port = command["client_port"]
            connections: Any = client.client_list()
            return next(
                known["name"] for known in connections if known["addr"].rpartition(":")[2] == port
            )
    raise AssertionError("it ended before anything was written")
